"""Jobs: work for a cluster, its events, and who looks after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recommender.records.runs import EpochMetrics

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
JOB_ENDED: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Work for a cluster, launched exactly once per attempt.

    The number of the attempt is the fencing token: reports of an older attempt are refused.
    """

    id: str
    kind: str  # "training", …: what its specification means
    owner: str  # who asked; an idempotency key is theirs alone
    key: str  # the idempotency key
    cluster: str  # only launchers of this cluster touch it
    status: JobStatus
    spec: str  # JSON, read by the kind's own code
    attempt: int  # 1, 2, …
    submitted: bool  # whether the cluster has confirmed this attempt's submission
    cancel_requested: bool
    crashes: int  # attempts in a row that ended without a word and without a further epoch
    collected: int  # batches of this attempt's reports that have been taken in
    metrics: EpochMetrics | None = None  # the newest point of the curve
    run_id: str | None = None
    checkpoint: str | None = None  # the registered result
    artefacts: str | None = None  # where results.csv, weights/best.pt, … lie
    error: str | None = None
    created_at: str = ""  # ISO 8601, UTC
    ended_at: str | None = None

    @property
    def submission_id(self) -> str:
        """The cluster's name for this attempt: the same whoever computes it, so it cannot be submitted twice."""
        return f"recommend-{self.id}-{self.attempt}"

    @property
    def ended(self) -> bool:
        """True if nothing more will happen."""
        return self.status in JOB_ENDED


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """Something that happened to a job. `seq` counts from 1 without gaps, for readers that resume."""

    seq: int
    attempt: int
    kind: str  # "status", "epoch", "note"
    data: str  # JSON object
    at: str  # ISO 8601, UTC


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The launcher that looks after a job. `beat` grows while it lives; no clock is compared between machines."""

    holder: str
    beat: int
