"""Jobs as their owners see them: asked for once per key, listed, cancelled, followed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from recommender.errors import NotFoundError, UsageError
from recommender.records import Job, JobEvent
from recommender.store.clock import utc_now
from recommender.store.database import require_key, storable
from recommender.store.job_models import JobEventRow, JobRow, OutboxRow
from recommender.store.job_rows import RECOMMENDATION, append_event, end, event_of, job_of, locked
from recommender.store.repository import Repository


class Jobs(Repository):
    """Jobs that are launched on a cluster; those of the service's own workers are `RecommendationJobs`.

    Keyed by id, which follows from owner and idempotency key: the same request is the same job.
    """

    def create(
        self,
        *,
        kind: str,
        owner: str,
        key: str,
        body_digests: tuple[str, ...],
        cluster: str,
        spec: str,
    ) -> tuple[Job, bool]:
        """The job of this owner and key, and whether it is new. The launch it owes is written with it.

        The first digest is kept; a job that was kept with any of them is the same (`request_digests`).
        Raises UsageError when the key was used for another request before.
        """
        require_key("idempotency key", key)
        require_key("cluster", cluster)
        id = _id_of(owner, key)

        def work(session: Session) -> tuple[Job, bool]:
            row = session.get(JobRow, id, with_for_update=True)
            if row is not None:
                _refuse_other_body(row, body_digests)
                return job_of(session, row), False
            row = JobRow(
                id=id,
                kind=kind,
                owner=owner,
                key=key,
                body_digest=body_digests[0],
                cluster=cluster,
                status="queued",
                spec=spec,
                attempt=1,
                created_at=utc_now(),
            )
            session.add(row)
            session.flush()  # its outbox row refers to it
            session.add(OutboxRow(job_id=id, attempt=1))
            append_event(session, row, "status", {"status": "queued"})
            session.flush()
            return job_of(session, row), True

        return self._write(work)

    def get(self, id: str) -> Job | None:
        """The job of this id, or None."""
        if not storable(id):
            return None

        def work(session: Session) -> Job | None:
            row = session.get(JobRow, id)
            return None if row is None or row.kind == RECOMMENDATION else job_of(session, row)

        return self._read(work)

    def find(self, *, owner: str, key: str) -> Job | None:
        """The job of this owner and idempotency key, or None."""
        return self.get(_id_of(owner, key))

    def require(self, id: str) -> Job:
        """The job of this id. Raises NotFoundError."""
        job = self.get(id)
        if job is None:
            raise NotFoundError(
                f"There is no job {id!r}.", remedy="`recommend runs list` shows what there is."
            )
        return job

    def list(
        self,
        *,
        owner: str | None = None,
        kind: str | None = None,
        statuses: Collection[str] | None = None,
        before: Job | None = None,
        limit: int = 50,
    ) -> tuple[Job, ...]:
        """Jobs, newest first; `before` is the last one of the page before."""
        query = (
            select(JobRow)
            .where(JobRow.kind != RECOMMENDATION)
            .order_by(JobRow.created_at.desc(), JobRow.id.desc())
            .limit(limit)
        )
        if owner is not None:
            query = query.where(JobRow.owner == owner)
        if kind is not None:
            query = query.where(JobRow.kind == kind)
        if statuses is not None:
            query = query.where(JobRow.status.in_(list(statuses)))
        if before is not None:
            query = query.where(tuple_(JobRow.created_at, JobRow.id) < (before.created_at, before.id))

        def work(session: Session) -> tuple[Job, ...]:
            return tuple(job_of(session, row) for row in session.scalars(query).all())

        return self._read(work)

    def events(
        self, id: str, *, after: int = 0, limit: int = 1000, kind: str | None = None
    ) -> tuple[JobEvent, ...]:
        """The events after number `after`, of one kind or all, oldest first; empty for a job that does not exist."""
        if not storable(id):
            return ()
        query = (
            select(JobEventRow)
            .where(JobEventRow.job_id == id, JobEventRow.seq > after)
            .order_by(JobEventRow.seq)
            .limit(limit)
        )
        if kind is not None:
            query = query.where(JobEventRow.kind == kind)
        rows = self._read(lambda session: session.scalars(query).all())
        return tuple(event_of(row) for row in rows)

    def every_event(self, id: str, kind: str) -> tuple[JobEvent, ...]:
        """All events of one kind, however many, oldest first."""
        found: list[JobEvent] = []
        while page := self.events(id, after=found[-1].seq if found else 0, kind=kind):
            found += page
        return tuple(found)

    def last_event(self, job_id: str, kind: str) -> JobEvent | None:
        """The newest event of this kind, or None."""
        if not storable(job_id):
            return None
        query = (
            select(JobEventRow)
            .where(JobEventRow.job_id == job_id, JobEventRow.kind == kind)
            .order_by(JobEventRow.seq.desc())
            .limit(1)
        )
        row = self._read(lambda session: session.scalars(query).first())
        return None if row is None else event_of(row)

    def count(self) -> dict[tuple[str, str], int]:
        """Jobs by kind and status."""
        query = (
            select(JobRow.kind, JobRow.status, func.count())
            .where(JobRow.kind != RECOMMENDATION)
            .group_by(JobRow.kind, JobRow.status)
        )
        rows = self._read(lambda session: session.execute(query).all())
        return {(row[0], row[1]): row[2] for row in rows}

    def request_cancel(self, id: str) -> Job:
        """Ask for the end of a job; one that no launcher has touched ends at once. Raises NotFoundError.

        After a first attempt the launcher ends it, for it alone clears what that left in the storage.
        """

        def work(session: Session) -> Job:
            row = locked(session, id)
            outbox = session.get(OutboxRow, (row.id, row.attempt))
            if row.ended_at is None and not row.cancel_requested:
                row.cancel_requested = True
                append_event(session, row, "note", {"message": "cancel requested"})
            untouched = row.attempt == 1 and outbox is not None and not outbox.begun
            if row.ended_at is None and untouched:
                end(session, row, "cancelled")
            session.flush()
            return job_of(session, row)

        require_key("job id", id)
        return self._write(work)


def _refuse_other_body(row: JobRow, body_digests: tuple[str, ...]) -> None:
    if row.body_digest not in body_digests:
        raise UsageError(
            f"The idempotency key {row.key!r} was used for another request before.",
            remedy="Repeat that request unchanged, or send a new key.",
        )


def _id_of(owner: str, key: str) -> str:
    return hashlib.sha256(f"{len(owner)}:{owner}:{key}".encode("utf-8", "backslashreplace")).hexdigest()[:20]
