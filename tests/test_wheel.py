"""The wheel: an installed package answers as the checkout does."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.datagen import make_dataset
from tests.processes import run_command

OLDEST_SETUPTOOLS = 80  # as pyproject.toml says; older ones refuse the licence's SPDX name


def run(*command: str | Path, **surroundings: str) -> str:
    return run_command(*command, timeout_s=900, env=os.environ | surroundings).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds our wheel, its dependencies borrowed from this one."""
    if int(importlib.metadata.version("setuptools").split(".")[0]) < OLDEST_SETUPTOOLS:
        pytest.skip(f"needs setuptools {OLDEST_SETUPTOOLS} or newer")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skipped = shutil.ignore_patterns(
        ".*", "build", "*.egg-info", "__pycache__", "tests", "benchmarks", "docs"
    )
    shutil.copytree(ROOT, source, ignore=skipped)  # a build leaves its traces in the folder
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def answer(python: Path | str, data: Path, home: Path) -> dict[str, Any]:
    """The output of `recommend --json`, asked from a folder without any code."""
    said = run(
        python, "-c", "from recommender.cli import main; main()", "--dataset", data, "--json",
        RECOMMENDER_HOME=str(home), PYTHONSAFEPATH="1",
    )  # fmt: skip
    document: dict[str, Any] = json.loads(said)
    return document


@pytest.mark.slow
def test_a_wheel_answers_as_the_checkout_does(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "-c", "import recommender; print(recommender.__file__)", PYTHONSAFEPATH="1")
    assert where.startswith(str(installed.parent.parent))
    data, home = make_dataset(tmp_path / "data"), tmp_path / "home"
    home.mkdir()
    ours = answer(sys.executable, data, home)
    assert ours["provenance"]["history_runs"] > 0
    assert answer(installed, data, home) == ours
