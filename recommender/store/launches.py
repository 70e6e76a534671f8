"""Jobs as their launchers see them: owed launches, attempts, leases, reports, the end.

Safety rests on the number of the attempt alone: every change below names the attempt it speaks for and is refused
when another one counts. Leases only spare work; two launchers that both believe to hold one do no harm.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from recommender.errors import ConflictError
from recommender.records import JOB_ENDED, Checkpoint, EpochMetrics, Job, Lease, Run
from recommender.records.checkpoints import MAX_CHECKPOINT_NAME
from recommender.store.checkpoints import record_checkpoint
from recommender.store.job_leases import JobLeases
from recommender.store.job_models import JobRow, OutboxRow
from recommender.store.job_rows import (
    RECOMMENDATION,
    append_event,
    end,
    job_of,
    lease_of,
    locked,
    refuse_stale,
)
from recommender.store.records_json import decode, encode
from recommender.store.runs import record_run, without_broken_numbers


class Launches(JobLeases):
    """Changes of jobs by their launchers."""

    def active(self, cluster: str) -> tuple[tuple[Job, Lease], ...]:
        """Jobs of this cluster that have not ended, oldest first, and who looks after them."""
        query = (
            select(JobRow)
            .where(JobRow.cluster == cluster, JobRow.kind != RECOMMENDATION, JobRow.status.not_in(JOB_ENDED))
            .order_by(JobRow.created_at, JobRow.id)
        )

        def work(session: Session) -> tuple[tuple[Job, Lease], ...]:
            return tuple((job_of(session, row), lease_of(row)) for row in session.scalars(query).all())

        return self._read(work)

    def begin(self, id: str, attempt: int) -> bool:
        """Note a launch before the cluster hears of it; False when the launch is no longer wanted."""

        def work(session: Session) -> bool:
            row = locked(session, id)
            outbox = session.get(OutboxRow, (id, attempt))
            if row.ended_at is not None or row.attempt != attempt or outbox is None:
                return False
            if row.cancel_requested and not outbox.begun:
                end(session, row, "cancelled")
                return False
            outbox.begun = True
            return True

        return self._write(work)

    def confirm(self, id: str, attempt: int) -> bool:
        """Note that the cluster has taken a launch, or had it already.

        False when the job has ended meanwhile, or another attempt counts: what was launched is nobody's.
        """

        def work(session: Session) -> bool:
            row = locked(session, id)
            outbox = session.get(OutboxRow, (id, attempt))
            if row.ended_at is not None or row.attempt != attempt or outbox is None:
                return False
            outbox.delivered = True
            return True

        return self._write(work)

    def mark_running(self, id: str, attempt: int) -> None:
        """The cluster has started it. Raises ConflictError for an older attempt."""

        def work(session: Session) -> None:
            row = locked(session, id)
            refuse_stale(row, attempt)
            if row.status == "queued":
                row.status = "running"
                append_event(session, row, "status", {"status": "running"})

        self._write(work)

    def note(self, id: str, attempt: int, message: str) -> None:
        """Tell whoever follows the job. Raises ConflictError for an older attempt."""
        self.add_event(id, attempt, "note", {"message": message})

    def add_event(self, id: str, attempt: int, kind: str, data: Mapping[str, object]) -> None:
        """An event of a kind's own for whoever follows the job. Raises ConflictError for an older attempt."""

        def work(session: Session) -> None:
            row = locked(session, id)
            refuse_stale(row, attempt)
            append_event(session, row, kind, data)

        self._write(work)

    def collect(self, id: str, attempt: int, *, batch: int, points: Sequence[EpochMetrics]) -> bool:
        """Take in the report number `batch` of an attempt: points of its curve, each counted once.

        False when it has been taken in before. Raises ConflictError for an older attempt.
        """

        def work(session: Session) -> bool:
            row = locked(session, id)
            refuse_stale(row, attempt)
            if row.collected != batch or row.ended_at is not None:
                return False
            row.collected = batch + 1
            last = 0 if row.metrics is None else decode(EpochMetrics, row.metrics).epoch
            for point in points:
                if point.epoch > last:  # a resumed attempt repeats what came after its last checkpoint
                    append_event(session, row, "epoch", asdict(point))
                    row.metrics, last = encode(point), point.epoch
                    row.crashes = 0  # it gets on: a long training may outlive any number of restarts
            return True

        return self._write(work)

    def next_attempt(self, id: str, attempt: int, *, reason: str, crashed: bool = True) -> Job:
        """Owe the cluster another attempt; from now on the old one's words do not count."""

        def work(session: Session) -> Job:
            row = locked(session, id)
            if row.attempt == attempt and row.ended_at is None:
                row.attempt, row.status, row.collected = attempt + 1, "queued", 0
                row.crashes += crashed
                session.add(OutboxRow(job_id=id, attempt=attempt + 1))
                append_event(session, row, "status", {"status": "queued", "reason": reason})
                session.flush()
            return job_of(session, row)

        return self._write(work)

    def finish(
        self,
        id: str,
        attempt: int,
        *,
        status: str,
        run: Run | None = None,
        checkpoint: Checkpoint | None = None,
        artefacts: str | None = None,
        error: str | None = None,
    ) -> bool:
        """End a job and, in the same transaction, remember its run and register its checkpoint.

        False when it had ended before. Raises ConflictError for an older attempt. A checkpoint whose name somebody
        took meanwhile gets a number behind it.
        """
        kept = None if run is None else without_broken_numbers(run)

        def work(session: Session) -> bool:
            row = locked(session, id)
            refuse_stale(row, attempt)
            if row.ended_at is not None:
                return False
            if kept is not None:
                record_run(session, kept)
                row.run_id = kept.id
            if checkpoint is not None:
                row.checkpoint = _register(session, replace(checkpoint, owner=row.owner or None))
            row.artefacts = artefacts
            end(session, row, status, error)
            return True

        return self._write(work)


def _register(session: Session, checkpoint: Checkpoint) -> str:
    """Keep the checkpoint under its name or the next free one, cut where a number would make it too long."""
    for number in itertools.count(1):
        suffix = "" if number == 1 else f"-{number}"
        name = f"{checkpoint.name[: MAX_CHECKPOINT_NAME - len(suffix)]}{suffix}"
        try:
            record_checkpoint(session, replace(checkpoint, name=name))
            return name
        except ConflictError:
            continue
    raise AssertionError("unreachable")
