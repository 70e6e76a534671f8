"""Recommendations as jobs: a queue that survives restarts, and the cache of its answers.

The service's own workers answer them, so nothing is owed to a cluster. A service leases what it answers; where a
lease is given up (the service was killed) the next one takes the job. Only the holder of the lease may file the
answer, so no question is answered twice.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from recommender.records import JOB_ENDED, JobStatus, Lease
from recommender.records.fields import same_fields
from recommender.store.clock import utc_now
from recommender.store.database import lock_name, require_key, storable
from recommender.store.job_leases import JobLeases
from recommender.store.job_models import JobRow
from recommender.store.job_rows import RECOMMENDATION, append_event, lease_of
from recommender.store.service_records import Page, RecommendationJob

OPEN: tuple[JobStatus, ...] = ("queued", "running")
MAX_ATTEMPTS = 3  # a question that has killed this many services is given up


class RecommendationJobs(JobLeases):
    """Recommendation jobs, keyed by id. `attempt` of the row counts the services that took the job up."""

    def add(self, job: RecommendationJob) -> RecommendationJob:
        """Queue a question, or file one that is answered already; returns the one kept.

        That is what the owner asked before about this data set with this cache key, unless it failed or was cancelled.
        """
        require_key("recommendation id", job.id)
        same = _asked(job.cache_key, (*OPEN, "succeeded"), job.owner, job.dataset_id)

        def work(session: Session) -> RecommendationJob:
            lock_name(session, f"{job.owner} {job.cache_key}")
            row = session.get(JobRow, job.id) or session.scalars(same).first()
            if row is None:
                row = _row(job)
                session.add(row)
                session.flush()  # its event refers to it
                append_event(session, row, "status", {"status": job.status})
            return _job(row)

        return self._write(work)

    def get(self, id: str) -> RecommendationJob | None:
        """The job of this id with its answer, or None."""
        return self._first(_those(JobRow.id == id)) if storable(id) else None

    def find(
        self, cache_key: str, *statuses: JobStatus, owner: str, dataset_id: str
    ) -> RecommendationJob | None:
        """The owner's latest about this very data set with this cache key in one of these states, or None."""
        return self._first(_asked(cache_key, statuses, owner, dataset_id))

    def page(
        self,
        *,
        owner: str | None,
        dataset_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[RecommendationJob]:
        """Jobs of an owner, or of all, newest first."""
        query = _those()
        if owner is not None:
            query = query.where(JobRow.owner == owner)
        if dataset_id is not None:
            if not storable(dataset_id):
                return Page(items=(), next_cursor=None)
            query = query.where(JobRow.dataset_id == dataset_id)
        return self._page(_job, JobRow, query, cursor, limit)

    def open(self, *, limit: int = 100) -> tuple[tuple[RecommendationJob, Lease], ...]:
        """Jobs without an answer, oldest first, and their leases."""
        query = _those(JobRow.status.in_(OPEN)).order_by(JobRow.created_at).limit(limit)
        rows = self._read(lambda session: session.scalars(query).all())
        return tuple((_job(row), lease_of(row)) for row in rows)

    def num_attempts(self, id: str) -> int:
        """The number of times this job was taken up; 0 where there is none."""
        return self._read(lambda s: s.scalar(select(JobRow.attempt).where(JobRow.id == id))) or 0

    def add_progress(self, id: str, stage: str, done: int, total: int) -> None:
        """Append a progress event for those who follow the job; a job that ended, or is unknown, takes none."""

        def work(session: Session) -> None:
            row = session.get(JobRow, id, with_for_update=True)
            if row is not None and row.ended_at is None:
                append_event(session, row, "progress", {"stage": stage, "done": done, "total": total})

        self._write(work)

    def finish(
        self,
        id: str,
        *,
        holder: str,
        status: JobStatus,
        document: str | None = None,
        problem: str | None = None,
    ) -> bool:
        """File the answer; False where the lease has passed on or the job was cancelled."""

        def work(session: Session) -> bool:
            row = session.get(JobRow, id, with_for_update=True)
            if row is None or row.status != "running" or row.lease_holder != holder:
                return False
            row.result, row.error = document, problem
            row.status, row.ended_at = status, utc_now()
            append_event(session, row, "status", {"status": status})
            return True

        return self._write(work)

    def release(self, holder: str) -> None:
        """Put back what this service was answering; it is shutting down."""
        change = (
            update(JobRow)
            .where(_is_recommendation(), JobRow.lease_holder == holder, JobRow.status == "running")
            .values(status="queued", lease_holder="", attempt=JobRow.attempt - 1)
        )

        def work(session: Session) -> None:
            session.execute(change)

        self._write(work)

    def cancel(self, id: str) -> bool:
        """Give a job up; False when it is finished already."""

        def work(session: Session) -> bool:
            row = session.get(JobRow, id, with_for_update=True)
            if row is None or row.kind != RECOMMENDATION or row.status in JOB_ENDED:
                return False
            row.status, row.ended_at = "cancelled", utc_now()
            append_event(session, row, "status", {"status": "cancelled"})
            return True

        return storable(id) and self._write(work)

    def count(self) -> dict[str, int]:
        """The number of jobs in each open state."""
        query = (
            select(JobRow.status, func.count())
            .where(_is_recommendation(), JobRow.status.in_(OPEN))
            .group_by(JobRow.status)
        )
        found = self._read(lambda session: [(status, count) for status, count in session.execute(query)])
        return dict.fromkeys(OPEN, 0) | dict(found)

    def count_open(self, owner: str) -> int:
        """The number of open jobs of an owner."""
        query = select(func.count()).where(
            _is_recommendation(), JobRow.owner == owner, JobRow.status.in_(OPEN)
        )
        return self._read(lambda session: session.scalar(query)) or 0

    @staticmethod
    def _is_of_kind(row: JobRow) -> bool:
        return row.kind == RECOMMENDATION

    def _taken(self, session: Session, row: JobRow) -> None:
        row.attempt += 1
        row.status = "running"
        append_event(session, row, "status", {"status": "running"})

    def _first(self, query: Select[JobRow]) -> RecommendationJob | None:
        row = self._read(lambda session: session.scalars(query).first())
        return None if row is None else _job(row)


def _is_recommendation() -> ColumnElement[bool]:
    return JobRow.kind == RECOMMENDATION


def _those(*conditions: ColumnElement[bool]) -> Select[JobRow]:
    return select(JobRow).where(_is_recommendation(), *conditions)


def _asked(cache_key: str, statuses: Collection[JobStatus], owner: str, dataset_id: str) -> Select[JobRow]:
    query = _those(
        JobRow.body_digest == cache_key,
        JobRow.status.in_(statuses),
        JobRow.owner == owner,
        JobRow.dataset_id == dataset_id,
    )
    return query.order_by(JobRow.created_at.desc()).limit(1)


def _row(job: RecommendationJob) -> JobRow:
    return JobRow(
        id=job.id,
        kind=RECOMMENDATION,
        owner=job.owner,
        key=f"{RECOMMENDATION}/{job.id}",  # asked for again under another id: answers are found by their cache key
        body_digest=job.cache_key,
        cluster="",
        status=job.status,
        spec=job.question,
        attempt=0,
        error=job.problem,
        dataset_id=job.dataset_id,
        dataset_hash=job.dataset_hash,
        result=job.document,
        created_at=job.created_at,
        ended_at=job.finished_at or (None if job.status in OPEN else utc_now()),
    )


def _job(row: JobRow) -> RecommendationJob:
    return RecommendationJob(
        **same_fields(RecommendationJob, row)
        | {"dataset_id": row.dataset_id or "", "dataset_hash": row.dataset_hash or ""},
        question=row.spec,
        cache_key=row.body_digest,
        finished_at=row.ended_at,
        document=row.result,
        problem=row.error,
    )
