"""Trainings reported to MLflow or Weights & Biases, where the usual environment variables ask for it.

Off by default: `MLFLOW_TRACKING_URI` turns the first on, `WANDB_API_KEY` or `WANDB_MODE` the second. A tracker that
is missing or out of reach never fails a training: what went wrong becomes a note of the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from recommender.records import EpochMetrics
from recommender.tasks import task_definition
from tune_jobs.training.job import TrainingJob

PROJECT = "checkpoint-recommender"  # the experiment or project where the environment names none


class Tracker(Protocol):
    """A receiver of one training's metrics. Called from the training's thread; may raise anything."""

    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Record one epoch."""

    def end(self, status: str) -> None:
        """Close the record; `status` is the run's."""


class Tracking:
    """All trackers of one training; an error of one ends it and is kept as a note."""

    def __init__(self, job: TrainingJob) -> None:
        self.notes: list[str] = []
        self._metric = task_definition(job.task).metric.name
        self._open: dict[str, Tracker] = {}
        for name, (wanted, make) in TRACKERS.items():
            if wanted():
                self._guard(name, partial(self._begin, name, make, job))

    def log(self, point: EpochMetrics) -> None:
        """Report one epoch to all."""
        numbers = {self._metric: point.score, **point.details, "seconds": point.seconds}
        for name, tracker in list(self._open.items()):
            self._guard(name, partial(tracker.log, numbers, point.epoch))

    def end(self, status: str) -> None:
        """Close all records."""
        for name, tracker in list(self._open.items()):
            self._guard(name, partial(tracker.end, status))

    def _begin(self, name: str, make: Callable[[TrainingJob], Tracker], job: TrainingJob) -> None:
        self._open[name] = make(job)

    def _guard(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except ImportError:
            self.notes.append(f"not reported to {name}: it is not installed (pip install {name})")
        except Exception as error:
            self._open.pop(name, None)
            self.notes.append(f"no longer reported to {name}: {' '.join(str(error).split())[:200]}")


class MlflowTracker:
    """One MLflow run; its experiment is `MLFLOW_EXPERIMENT_NAME`."""

    def __init__(self, job: TrainingJob) -> None:
        import mlflow

        self._client: Any = mlflow.MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        self._run: str = self._client.create_run(experiment, run_name=_title(job)).info.run_id
        for key, value in _parameters(job).items():
            self._client.log_param(self._run, key, value)

    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Record one epoch."""
        for key, value in numbers.items():
            self._client.log_metric(self._run, key, value, step=epoch)

    def end(self, status: str) -> None:
        """Close the run: FINISHED, KILLED where it was stopped, or FAILED."""
        known = {"succeeded": "FINISHED", "stopped": "KILLED"}
        self._client.set_terminated(self._run, known.get(status, "FAILED"))


class WandbTracker:
    """One Weights & Biases run; its project is `WANDB_PROJECT`."""

    def __init__(self, job: TrainingJob) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=_title(job),
            config=_parameters(job),
            reinit="create_new",
        )

    def log(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Record one epoch."""
        self._run.log(dict(numbers), step=epoch)

    def end(self, status: str) -> None:
        """Close the run."""
        self._run.finish(exit_code=0 if status in ("succeeded", "stopped") else 1)


TRACKERS: dict[str, tuple[Callable[[], bool], Callable[[TrainingJob], Tracker]]] = {
    "mlflow": (lambda: bool(os.environ.get("MLFLOW_TRACKING_URI")), MlflowTracker),
    "wandb": (lambda: bool(os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE")), WandbTracker),
}


def _title(job: TrainingJob) -> str:
    return f"{job.start} on {job.target_name}"


def _parameters(job: TrainingJob) -> dict[str, object]:
    return {
        "start": str(job.start),
        "architecture": job.architecture,
        "dataset": job.target_name,
        "dataset_hash": job.target_hash,
        "run": job.run_id,
        **asdict(job.recipe),
    }
