"""The driver itself interrupted, killed, or cut off from its head: `recommend sweep` as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recommender.store import Store
from tests.datagen import make_dataset
from tests.faults.ray_heads import (
    kill_with_children,
    ray_start,
    running_head,
    wait_for_port,
    with_token,
    without_ray,
)
from tests.faults.ray_nodes import wait_for_no_training
from tests.processes import run_command
from tune_jobs.local_environment import free_port

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SEEDS = "0,1,2"


def command(data: Path, *more: str, epochs: int = 2) -> list[str]:
    options = ["--modes", "scratch", "--checkpoint", "scratch", "--seeds", SEEDS, "--parallel", "1"]
    small = ["--epochs", str(epochs), "--imgsz", "64", "--batch", "4"]
    return [
        *(sys.executable, "-c", "from recommender.cli import main; main()", "sweep"),
        *("--dataset", str(data), *options, *small, *more),
    ]


def run_until(
    line: str, act: Callable[[subprocess.Popen[str]], None], arguments: list[str], variables: dict[str, str]
) -> tuple[int, str]:
    """Run a command, act when a line of its stderr holds a text, and wait for its end."""
    with subprocess.Popen(
        arguments, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stderr is not None
        said = ""
        for text in driver.stderr:
            said += text
            if line in text:
                act(driver)
                break
        said += driver.stderr.read()
        return driver.wait(timeout=120), said


def runs_of(home: Path) -> set[str]:
    with Store(home / "store.sqlite3") as store:
        return {run.id for run in store.runs.list()}


def test_interrupted_then_killed_then_completed(tmp_path: Path) -> None:
    """Row R7: Ctrl-C and kill -9 keep what is finished; the same command goes on; nothing counts twice."""
    data = make_dataset(tmp_path / "data", images=16, size=(64, 64), boxes=1)
    home, variables = tmp_path / "home", without_ray(RECOMMENDER_HOME=str(tmp_path / "home"))
    epochs = 8  # some seconds a trial: the signal arrives before the last one ends
    sweep = command(data, epochs=epochs)

    code, said = run_until("  done", lambda d: d.send_signal(signal.SIGINT), sweep, variables)
    assert code == 130, said
    assert "ended early: interrupted; what is finished is kept" in said
    assert "Traceback" not in said
    first = runs_of(home)
    assert len(first) >= 1
    wait_for_no_training(home)

    code, said = run_until(" seed 1  done", lambda d: d.kill(), sweep, variables)
    assert code == -signal.SIGKILL
    second = runs_of(home)
    assert first < second
    wait_for_no_training(home)

    last = run_command(*sweep, "--json", env=variables)
    document: dict[str, Any] = json.loads(last.stdout)
    assert document["trials"]["known_before"] == len(second) == 2
    assert document["trials"]["finished"] == 3
    assert document["ended_early"] is None
    (result,) = document["results"]
    assert set(result["runs"]) == runs_of(home)
    assert len(result["runs"]) == 3
    with Store(home / "store.sqlite3") as store:
        steps = [(run.id, point.epoch) for run in store.runs.list() for point in run.curve]
    assert len(steps) == len(set(steps)) == 3 * epochs
    assert not list((home / "states").glob("*.pt"))


def test_a_head_that_dies_takes_no_finished_run_with_it(tmp_path: Path) -> None:
    """Row R6: the driver ends by itself; on a new head the same command goes on, once."""
    data = make_dataset(tmp_path / "data", images=8, size=(64, 64), boxes=1)
    home, port = tmp_path / "home", free_port()
    variables = with_token(home, RAY_gcs_rpc_server_reconnect_timeout_s="5")
    on_cluster = command(data, "--address", f"127.0.0.1:{port}")
    head = ray_start(variables, "--head", f"--port={port}", "--include-dashboard=false")
    try:
        wait_for_port(port)
        code, said = run_until("  done", lambda _: kill_with_children(head), on_cluster, variables)
        assert code != 0, said
    finally:
        kill_with_children(head)
    kept = runs_of(home)
    assert len(kept) >= 1
    wait_for_no_training(home)
    head = ray_start(variables, "--head", f"--port={port}", "--include-dashboard=false")
    try:
        wait_for_port(port)
        last = run_command(*on_cluster, "--json", status=None, env=variables)
    finally:
        kill_with_children(head)
    assert last.returncode == 0, last.stderr
    document = json.loads(last.stdout)
    assert document["trials"]["known_before"] == len(kept)
    assert set(document["results"][0]["runs"]) == runs_of(home)
    assert len(runs_of(home)) == 3


def test_a_connection_from_outside_that_is_lost_is_told_with_how_to_go_on(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", images=8, size=(64, 64), boxes=1)
    home, port = tmp_path / "home", free_port()
    variables = with_token(home, RAY_CLIENT_RECONNECT_GRACE_PERIOD="3")
    head = ray_start(
        variables,
        *("--head", f"--port={free_port()}", "--include-dashboard=false"),
        f"--ray-client-server-port={port}",
    )
    try:
        wait_for_port(port)
        outside = command(data, "--address", f"ray://127.0.0.1:{port}")
        code, said = run_until("  done", lambda _: kill_with_children(head), outside, variables)
    finally:
        kill_with_children(head)
    assert code == 1, said
    assert "The connection to the cluster was lost. The same command goes on" in " ".join(said.split())
    assert len(runs_of(home)) >= 1
    wait_for_no_training(home)


def test_a_killed_driver_goes_on_at_another_head_as_if_nothing_had_been(tmp_path: Path) -> None:
    """The old cluster is gone and the new one has another address; the result is that of a sweep in one go."""
    data = make_dataset(tmp_path / "data", images=8, size=(64, 64), boxes=1)
    home, whole = tmp_path / "home", tmp_path / "whole"
    variables = with_token(home)
    with running_head(variables) as port:
        kill = command(data, "--address", f"127.0.0.1:{port}")
        code, said = run_until("  done", lambda driver: driver.kill(), kill, variables)
    assert code == -signal.SIGKILL, said
    wait_for_no_training(home)
    with Store(home / "store.sqlite3") as store:
        before = {run.id: run.created_at for run in store.runs.list()}
    assert 1 <= len(before) < 3
    documents = []
    with running_head(variables) as another:
        assert another != port
        for place in (home, whole):
            again = (*command(data, "--address", f"127.0.0.1:{another}"), "--json")
            last = run_command(*again, env={**variables, "RECOMMENDER_HOME": str(place)})
            documents.append(json.loads(last.stdout))
    resumed, in_one_go = documents
    assert resumed["trials"]["known_before"] == len(before)
    assert resumed["results"] == in_one_go["results"]
    with Store(home / "store.sqlite3") as store, Store(whole / "store.sqlite3") as other:
        assert {run.id: run.created_at for run in store.runs.list() if run.id in before} == before
        curves = [
            {run.id: [point.score for point in run.curve] for run in each.runs.list()}
            for each in (store, other)
        ]
    assert curves[0] == curves[1]
