"""The guide to adding a task names every file that treats one task unlike another."""

from __future__ import annotations

import ast
from pathlib import Path

from recommender.tasks import TASKS

ROOT = Path(__file__).parents[1]
OTHER = {task.name for task in TASKS} - {"detect"}  # "detect" is the default of records older than tasks


def names_a_task(file: Path) -> bool:
    """True where code, not a docstring or a type, holds the name of a task."""
    tree = ast.parse(file.read_text("utf-8"))
    return any(isinstance(node, ast.Constant) and node.value in OTHER for node in ast.walk(tree))


def test_the_files_to_touch_for_a_new_task_exist_and_suffice() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = text.split("### To add a task", 1)[1].split("\n### ", 1)[0]
    named = [part for part in section.split("`")[1::2] if "/" in part]
    assert len(named) <= 15
    assert all((ROOT / name).exists() for name in named)
    naming = [
        file.relative_to(ROOT).as_posix()
        for part in ("recommender", "tune_jobs", "service")
        for file in (ROOT / part).rglob("*.py")
        if names_a_task(file)
    ]
    assert [path for path in naming if not path.startswith(tuple(named))] == []
