"""The record of a training before anything came of it."""

from __future__ import annotations

from datetime import UTC, datetime

from recommender.records import Environment, Run
from tune_jobs.training.job import TrainingJob


def blank_record(job: TrainingJob, environment: Environment) -> Run:
    """A run that failed with nothing to show: what was asked for, where, and when."""
    return Run(
        id=job.run_id,
        kind=job.kind,
        status="failed",
        target_hash=job.target_hash,
        target_name=job.target_name,
        start=job.start,
        weights_sha256=job.weights_sha256,
        source_hash=job.source_hash,
        architecture=job.architecture,
        recipe=job.recipe,
        num_train_images=0,
        curve=(),
        starting_score=None,
        best=None,
        seconds=0.0,
        peak_memory_mb=None,
        batch_used=None,
        optimizer_used=None,
        learning_rate_used=None,
        weights_transferred=None,
        environment=environment,
        task=job.task,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
