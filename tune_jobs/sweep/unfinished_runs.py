"""The record of a trial that did not come to its end by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from recommender.records import Environment, EpochMetrics, Run
from tune_jobs.training import TrainingJob

TIMED_OUT = "timed out"
STOPPED_BY_POLICY = "stopped by the policy: "


def failed_run(
    job: TrainingJob, error: str, *, curve: Sequence[EpochMetrics] = (), seconds: float = 0.0
) -> Run:
    """A run that failed with `error`, and what was seen of it. The store keeps it apart from the history."""
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
        curve=tuple(curve),
        starting_score=None,
        best=None,
        seconds=seconds,
        peak_memory_mb=None,
        batch_used=None,
        optimizer_used=None,
        learning_rate_used=None,
        weights_transferred=None,
        environment=Environment(
            hardware="unknown", device=job.device, num_threads=job.num_threads, versions={}
        ),
        error=" ".join(error.split())[:2000],
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def is_finished(run: Run) -> bool:
    """True if asking for this run again would bring nothing new: it ended, or the policy ended it.

    What failed is tried again by the next command; what the budget or Ctrl-C cut off is never recorded.
    """
    return run.status == "succeeded" or (
        run.status == "stopped" and any(note.startswith(STOPPED_BY_POLICY) for note in run.notes)
    )
