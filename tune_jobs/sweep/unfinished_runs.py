"""The record of a trial that did not come to its end by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recommender.records import Environment, EpochMetrics, Run
from tune_jobs.training import TrainingJob
from tune_jobs.training.record import blank_record

TIMED_OUT = "timed out"
STOPPED_BY_POLICY = "stopped by the policy: "


def failed_run(job: TrainingJob, error: str, *, curve: Sequence[EpochMetrics] = ()) -> Run:
    """A run that failed with `error`, and what was seen of it. The store keeps it apart from the history."""
    where = Environment(hardware="unknown", device=job.device, num_threads=job.num_threads, versions={})
    error = " ".join(error.split())[:2000]
    return replace(blank_record(job, where), curve=tuple(curve), error=error)


def is_finished(run: Run) -> bool:
    """True if asking for this run again would bring nothing new: it ended, or the policy ended it.

    What failed is tried again by the next command; what the budget or Ctrl-C cut off is never recorded.
    """
    return run.status == "succeeded" or (
        run.status == "stopped" and any(note.startswith(STOPPED_BY_POLICY) for note in run.notes)
    )
