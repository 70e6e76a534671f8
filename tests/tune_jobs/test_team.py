"""One training by two processes that share each batch: on CPUs here, where GPUs would be on a user's machine."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from recommender.errors import UsageError
from recommender.records import EpochMetrics
from tests.tune_jobs.sweep_kit import exploding_weights
from tests.tune_jobs.training_kit import make_export, make_job
from tune_jobs.training.job import BEST_WEIGHTS, STATE_FILE
from tune_jobs.training.process import MODULE
from tune_jobs.training.team import train_together

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_export(tmp_path_factory.mktemp("team"))


def members() -> list[psutil.Process]:
    """Ours alone: their loader processes are forks, with the same command line."""
    return [child for child in psutil.Process().children() if MODULE in child.cmdline()]


def test_two_processes_train_one_model_and_one_record(data: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    job = make_job(data, tmp_path / "out", epochs=4, batch=4, num_processes=2, keep=True)
    run = train_together(job, on_epoch=lambda point: seen.append(point.epoch))
    assert run.status == "succeeded", run.error
    assert seen == [1, 2, 3, 4] == [point.epoch for point in run.curve]
    assert run.best is not None
    assert run.best.score > 0.05, "it learns"
    assert (run.batch_used, run.num_train_images) == (4, 12)
    assert "2 processes on cpu, 2 images of each batch in each" in run.notes
    assert "batch norm of each process by itself: torch synchronises it on GPUs only" in run.notes
    assert [path.name for path in job.output.iterdir()] == [BEST_WEIGHTS]
    assert run.id == replace(job, num_processes=1).run_id, "the same training, wherever it ran"
    assert run.environment.num_processes == 2
    assert not members()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_team_and_the_training_goes_on_from_its_state(
    data: Path, tmp_path: Path, victim: int
) -> None:
    # Long enough that it cannot end before the second epoch is told and the signal has arrived.
    job = make_job(data, tmp_path / "out", epochs=200, num_processes=2, keep=True, resumable=True)

    def kill_one(point: EpochMetrics) -> None:
        if point.epoch == 2:
            ranks = {int(process.environ()["RANK"]): process.pid for process in members()}
            os.kill(ranks[victim], signal.SIGKILL)

    with pytest.raises(
        RuntimeError, match=f"Process {victim + 1} of 2: the training process died with signal 9"
    ):
        train_together(job, on_epoch=kill_one)
    assert not members()
    assert (job.output / STATE_FILE).exists()
    seen: list[int] = []

    def two_more(point: EpochMetrics) -> bool:
        seen.append(point.epoch)
        return len(seen) < 2

    run = train_together(job, on_epoch=two_more)
    done = seen[0] - 1
    assert run.status == "stopped", run.error
    assert done >= 2
    assert [point.epoch for point in run.curve] == list(range(1, done + 3))
    assert f"resumed after epoch {done}" in run.notes


def test_it_stops_when_told_and_says_what_failed(data: Path, tmp_path: Path) -> None:
    job = make_job(data, tmp_path / "out", epochs=50, num_processes=2)
    run = train_together(job, on_epoch=lambda point: point.epoch < 2)
    assert (run.status, len(run.curve)) == ("stopped", 2)
    wild = make_job(data, tmp_path / "wild", num_processes=2, weights=exploding_weights(tmp_path).source)
    failed = train_together(wild)
    assert failed.status == "failed"
    assert "not finite" in (failed.error or "")
    assert not list(wild.output.iterdir())


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_starts(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be shared by 3 GPUs"):
        train_together(make_job(data, tmp_path / "out", batch=4, num_processes=3))
    assert not (tmp_path / "out").exists()
