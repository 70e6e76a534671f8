"""One launch, none lost, whoever dies when (R1), whoever else launches (R2), and whatever the database does (R14)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.errors import StorageError
from recommender.store import Store
from tests.faults.doomed_launcher import POINTS
from tests.postgres import PostgresServer
from tests.tune_jobs.launch_kit import ROOT, Workshop

BEFORE_IT_RAN = {
    "before:begin",
    "after:begin",
    "before:prepare",
    "after:prepare",
    "before:submit",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.sqlite3"
    return str(request.getfixturevalue("postgres").fresh_database())


@pytest.fixture
def workshop(tmp_path: Path, home: Path, address: str) -> Iterator[Workshop]:
    """A place to launch in."""
    with Store(address) as store:
        yield Workshop(tmp_path, store)


def start_launcher(workshop: Workshop, point: str = "never") -> subprocess.Popen[bytes]:
    """A launcher in a process of its own."""
    command = [sys.executable, "-m", "tests.faults.doomed_launcher"]
    return subprocess.Popen(
        [*command, str(workshop.folder), workshop.store.url, point],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )


def assert_launched_once(workshop: Workshop, num_jobs: int) -> None:
    """Every job succeeded on its first attempt, ran once, and is remembered once."""
    jobs = workshop.store.jobs.list(limit=1000)
    assert [(job.status, job.attempt) for job in jobs] == [("succeeded", 1)] * num_jobs
    assert workshop.cluster.ids() == sorted(job.submission_id for job in jobs)
    assert workshop.cluster.starts() == num_jobs
    assert len(workshop.store.checkpoints.list()) == num_jobs
    for job in jobs:
        events = workshop.store.jobs.events(job.id)
        assert [e.kind for e in events].count("epoch") == 2
        assert [e.seq for e in events] == list(range(1, len(events) + 1))


@pytest.mark.slow
def test_a_launcher_killed_at_every_point_in_turn_is_taken_over(workshop: Workshop) -> None:
    job = workshop.ask("key")
    on_sqlite = workshop.store.url.startswith("sqlite")
    for point in POINTS if on_sqlite else ("after:submit", "before:finish", "after:finish"):
        with start_launcher(workshop, point) as doomed:
            assert doomed.wait(timeout=60) == -9, point
        assert workshop.cluster.ids() == ([] if point in BEFORE_IT_RAN else [job.submission_id])
    assert workshop.store.jobs.require(job.id).ended  # the last one died just after it had ended the job
    assert_launched_once(workshop, 1)


@pytest.mark.slow
def test_launchers_on_one_database_launch_each_job_once(workshop: Workshop) -> None:
    jobs = [workshop.ask(f"key{number}", seed=number) for number in range(4)]
    launchers = [start_launcher(workshop) for _ in range(2)]
    for launcher in launchers:
        assert launcher.wait(timeout=120) == 0
    assert len(workshop.store.runs.list()) == len(jobs)
    assert_launched_once(workshop, len(jobs))


@pytest.mark.slow
def test_a_database_that_restarts_loses_nothing(tmp_path: Path, home: Path, postgres: PostgresServer) -> None:
    address = postgres.fresh_database()
    with Store(address) as store:
        workshop = Workshop(tmp_path, store)
        for number in range(3):
            workshop.ask(f"key{number}", seed=number)
        launcher = workshop.launcher()
        end = time.monotonic() + 90
        for round_ in range(10_000):
            if round_ in (0, 2, 4, 8):
                assert postgres.kill_backends(address) >= 1
            try:
                if not launcher.step():
                    break
            except StorageError:  # it was away for longer than the store retries: the host steps again
                continue
            assert time.monotonic() < end
            time.sleep(0.02)
        assert_launched_once(workshop, 3)
