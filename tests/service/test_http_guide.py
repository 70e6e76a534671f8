"""docs/http.md, command by command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.datagen import make_dataset, zip_of
from tests.processes import run_command
from tests.service.kit import wait_until

GUIDE = ROOT / "docs" / "http.md"
PORT = "8765"
pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture
def folder(tmp_path: Path, nano_pt: Path) -> Path:
    """The reader's folder: a data set to upload, weights to register."""
    make_dataset(tmp_path / "signs", seed=31)
    zip_of(tmp_path / "signs", tmp_path / "signs.zip")
    (tmp_path / "best.pt").write_bytes(nano_pt.read_bytes())
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    """Commands find `recommend`, `python` and a home of their own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "RECOMMENDER_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def served(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The service as the guide starts it; yields a free port put in for the guide's."""
    command = ["recommend", "serve", "--port", "0"]
    with (folder / "said").open("wb") as said, (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=log)
        try:
            wait_until(lambda: b"Serving on" in (folder / "said").read_bytes(), 120)
            yield re.findall(r"Serving on http://127.0.0.1:(\d+)", (folder / "said").read_text())[0]
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 0
    assert "ckr_" in (folder / "home" / "first-admin-key").read_text()
    assert "Traceback" not in (folder / "log").read_text()


def commands() -> list[str]:
    """Every shell block of the guide."""
    return re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)


def test_the_guide_starts_the_service_as_the_tests_do() -> None:
    assert f"recommend serve --port {PORT}" in GUIDE.read_text("utf-8")
    assert len(commands()) >= 12


def test_every_command_of_the_guide_works(folder: Path, environment: dict[str, str], served: str) -> None:
    blocks = [
        block if "/nothing" in block else block.replace("curl -s", "curl --fail-with-body -s")
        for block in commands()
    ]
    script = "\n".join(["set -euo pipefail", *(f"{block}\necho '<<<done>>>'" for block in blocks)])
    script = script.replace(f":{PORT}", f":{served}")
    done = run_command("bash", "-c", script, status=None, env=environment, cwd=folder, timeout_s=900)
    assert done.returncode == 0, (
        done.stdout[-2000:] + done.stderr[-2000:] + (folder / "log").read_text()[-3000:]
    )
    said = done.stdout.split("<<<done>>>")
    assert '{"status":"alive"}' in said[1]
    assert json.loads((folder / "answer.json").read_text())["status"] == "succeeded"
    trained = json.loads((folder / "trained.json").read_text())
    assert trained["status"] == "succeeded"
    assert trained["checkpoint"] in done.stdout
    assert trained["best"]["epoch"] == trained["metrics"]["epoch"] == 1
    assert '"name":"ours"' in done.stdout
    assert '"from_scratch":true' in done.stdout
    assert '"trials"' in done.stdout
    assert "recommender_requests_total" in done.stdout
    assert "urn:checkpoint-recommender:problem:not-found" in said[-2]
