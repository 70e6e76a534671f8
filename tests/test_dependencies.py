"""The declared dependencies are those that the program imports: none is missing, none is there for nothing."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = ("recommender", "tune_jobs", "service")
NOT_IMPORTED = {
    "psycopg": "SQLAlchemy loads it for a store at postgresql://",
    "torchvision": "ultralytics imports it; here so that its version goes with torch's",
}
OPTIONAL = {"pandas", "mlflow", "wandb"}  # used where somebody has installed them
PART_OF = {"pydantic-core": "pydantic"}  # which pins the one version that fits


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    files = [file for part in PROGRAM for file in (ROOT / part).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    roots = {module.split(".")[0] for module in modules} - {*PROGRAM, *OPTIONAL, *sys.stdlib_module_names}
    provided = packages_distributions()
    imported = {_name(provided[root][0]) for root in roots}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {_name(re.split(r"[\[>=]", line)[0]) for line in project["dependencies"]}
    optional = {_name(re.split(r"[\[>=]", line)[0]) for line in project["optional-dependencies"]["export"]}
    assert {PART_OF.get(name, name) for name in imported} - optional == declared - set(NOT_IMPORTED)


def _name(distribution: str) -> str:
    return distribution.lower().replace("_", "-")
