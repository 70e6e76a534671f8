"""Rows of jobs ↔ records, and the few steps that every change of a job shares."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy.orm import Session

from recommender.errors import ConflictError, NotFoundError
from recommender.records import EpochMetrics, Job, JobEvent, Lease
from recommender.records.fields import same_fields
from recommender.store.clock import utc_now
from recommender.store.job_models import JobEventRow, JobRow, OutboxRow
from recommender.store.records_json import decode

MAX_ERROR_CHARS = 4000
RECOMMENDATION = "recommendation"  # the kind that a service answers itself; a cluster runs all others


def job_of(session: Session, row: JobRow) -> Job:
    """The record of a row."""
    outbox = session.get(OutboxRow, (row.id, row.attempt))
    return Job(
        **same_fields(Job, row)
        | {
            "submitted": outbox is not None and outbox.delivered,
            "metrics": None if row.metrics is None else decode(EpochMetrics, row.metrics),
        }
    )


def event_of(row: JobEventRow) -> JobEvent:
    """The record of a row."""
    return JobEvent(**same_fields(JobEvent, row))


def lease_of(row: JobRow) -> Lease:
    """The job's lease."""
    return Lease(holder=row.lease_holder, beat=row.lease_beat)


def locked(session: Session, id: str) -> JobRow:
    """The row of a job on a cluster, locked until the transaction ends. Raises NotFoundError."""
    row = session.get(JobRow, id, with_for_update=True)
    if row is None or row.kind == RECOMMENDATION:
        raise NotFoundError(f"There is no job {id!r}.", remedy="`recommend runs list` shows what there is.")
    return row


def refuse_stale(row: JobRow, attempt: int) -> None:
    """Raise ConflictError unless `attempt` is the job's attempt that counts."""
    if attempt != row.attempt:
        raise ConflictError(
            f"A report on job {row.id} comes from attempt {attempt}, but attempt {row.attempt} counts.",
            remedy="This attempt was given up while it did not answer; what it says is dropped on purpose.",
        )


def append_event(session: Session, row: JobRow, kind: str, data: Mapping[str, object]) -> None:
    """Append an event. The row is locked, so the numbers have no gaps."""
    row.last_seq += 1
    text = json.dumps(data, allow_nan=False)
    session.add(
        JobEventRow(job_id=row.id, seq=row.last_seq, attempt=row.attempt, kind=kind, data=text, at=utc_now())
    )


def end(session: Session, row: JobRow, status: str, error: str | None = None) -> None:
    """Close the job."""
    row.status, row.ended_at = status, utc_now()
    row.error = None if error is None else printable_text(error)
    append_event(session, row, "status", {"status": status, "error": row.error})


def printable_text(text: str) -> str:
    """Text that every database can hold: no NUL, no lone surrogate, not endless."""
    return text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")[:MAX_ERROR_CHARS]
