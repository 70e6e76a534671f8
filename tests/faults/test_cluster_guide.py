"""docs/cluster.md, command by command, on a cluster of three nodes; and what deploy/ says."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from recommender.store import Store
from tests.conftest import ROOT
from tests.datagen import make_dataset
from tests.faults.ray_heads import without_ray
from tests.processes import run_command
from tune_jobs.local_environment import free_port

GUIDE = ROOT / "docs" / "cluster.md"
DEPLOY = ROOT / "deploy"

ALL_THREE = """
for attempt in $(seq 60); do
    ray status --address 127.0.0.1:{port} | grep "0.0/3.0 CPU" && break
    sleep 1
done
[ "$attempt" != 60 ]
"""  # a reader looks again when a node is not there yet; a script has to be told


def blocks() -> list[str]:
    """Every shell block of the guide."""
    return re.findall(r"```bash\n(.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Somebody with two data sets and a home of their own; what they start is ended afterwards."""
    for number, name in enumerate(("signs", "cells")):
        make_dataset(tmp_path / name, images=8, size=(64, 64), boxes=1, seed=number)
    home = tmp_path / "home"
    home.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield without_ray(HOME=str(home), RECOMMENDER_HOME=str(home / "recommender"), PATH=path)
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == str(home):
                process.kill()
        except psutil.Error:
            continue


@pytest.fixture
def ray_folder() -> Iterator[str]:
    """Short, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        yield folder
        time.sleep(1)  # killed processes let go of it


@pytest.mark.ray
@pytest.mark.slow
def test_the_guide_works_letter_by_letter(reader: dict[str, str], ray_folder: str, tmp_path: Path) -> None:
    *started, stopped = blocks()
    # Ends every Ray of this user, those of other tests too: what the guide started is ended by the fixture.
    assert stopped == "ray stop\n"
    mine = {"6379": str(free_port()), "8265": str(free_port()), "/tmp/ray-try": ray_folder}
    script = "set -e\n"
    for number, block in enumerate(started):
        for shown, used in mine.items():
            block = block.replace(shown, used)
        script += f"{block}\necho '--- end of block {number}'\n"
        if "ray status" in block:
            script += ALL_THREE.format(port=mine["6379"])
    done = run_command("bash", "-c", script, status=None, env=reader, cwd=tmp_path, timeout_s=580)
    parts = re.findall(r"((?:.|\n)*?)--- end of block (\d)", done.stdout)
    said = {number: text for text, number in parts}
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    token = Path(reader["HOME"]) / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o077 == 0
    assert "ACTIVE" in said["1"].upper()
    assert "coco-yolo11n:full" in said["2"]
    assert len(list((tmp_path / "sweeps" / "runs").glob("*.json"))) == 4
    again = json.loads(said["3"][said["3"].index("{") :])
    assert again["trials"]["known_before"] == again["trials"]["finished"] == 4
    assert "succeeded" in said["4"]
    with Store(Path(reader["RECOMMENDER_HOME"]) / "store.sqlite3") as store:
        runs = store.runs.list()
    assert len(runs) == 6  # the job knew the two of seed 0
    assert {run.recipe.seed for run in runs} == {0, 1}


def test_what_the_guide_shows_is_what_it_prints() -> None:
    """The sample names what the display still says."""
    (sample, *_) = re.findall(r"```text\n(.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)
    for phrase in ("running: fetching data", "done  score", "done · 0 running on 3 slots", "of CPU time"):
        assert phrase in sample


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])
def test_kuberay_clusters_ask_for_a_token(name: str) -> None:
    documents = yaml.safe_load_all((DEPLOY / name).read_text())
    spec = next(document for document in documents if document["kind"].startswith("Ray"))["spec"]
    cluster = spec.get("rayClusterSpec", spec)
    assert cluster["authOptions"] == {"mode": "token", "secretName": "ray-token"}
    import ray

    assert cluster["rayVersion"] == ray.__version__
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert {entry["name"] for entry in container["env"]} >= {"RECOMMENDER_HOME"}


def test_the_job_is_a_command_that_is_understood() -> None:
    from typer.testing import CliRunner

    from recommender.cli.app import app

    entrypoint = next(yaml.safe_load_all((DEPLOY / "rayjob.yaml").read_text()))["spec"]["entrypoint"].split()
    assert entrypoint[0] == "recommend"
    found = CliRunner().invoke(app, [*entrypoint[1:], "--parallel", "0"])
    assert found.exit_code != 0
    assert "parallel" in str(found.exception) + found.output  # everything before it was taken


def test_the_launchers_template_starts_every_node_with_a_token() -> None:
    template = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    starts = template["head_start_ray_commands"] + template["worker_start_ray_commands"]
    for command in starts:
        if " start " in command:
            assert command.startswith("RAY_AUTH_MODE=token ")
    assert "~/.ray/auth_token" in template["file_mounts"]


def test_every_command_of_the_guide_exists() -> None:
    named = set(re.findall(r"`?recommend (\w+)", GUIDE.read_text("utf-8")))
    from recommender.cli.mounts import COMMANDS, GROUPS

    assert named - {"refuses"} <= {name for name, *_ in (*GROUPS, *COMMANDS)}
    assert shutil.which("ray", path=str(Path(sys.executable).parent))
