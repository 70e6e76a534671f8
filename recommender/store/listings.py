"""Runs page by page, newest first, for lists that may be long."""

from __future__ import annotations

from sqlalchemy import select

from recommender.records import JobEvent, Run
from recommender.store.database import Database, storable
from recommender.store.job_models import JobEventRow
from recommender.store.job_rows import event_of
from recommender.store.models import RunRow
from recommender.store.paging import cursor_after, paged
from recommender.store.rows import checked
from recommender.store.service_records import Page


class Listings(Database):
    """Reads only."""

    def page_runs(
        self,
        *,
        checkpoint: str | None = None,
        kind: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        """Runs that match every filter given, newest first."""
        query = select(RunRow)
        for column, value in ((RunRow.checkpoint, checkpoint), (RunRow.kind, kind), (RunRow.status, status)):
            if value is not None:
                if not storable(value):
                    return Page(items=(), next_cursor=None)
                query = query.where(column == value)
        query = paged(query, RunRow, cursor=cursor, limit=limit)
        rows = self.read(lambda session: session.scalars(query).all())
        return Page(
            items=tuple(checked(Run, row) for row in rows[:limit]), next_cursor=cursor_after(rows, limit)
        )

    def last_job_event(self, job_id: str, kind: str) -> JobEvent | None:
        """The newest event of this kind, or None."""
        if not storable(job_id):
            return None
        query = (
            select(JobEventRow)
            .where(JobEventRow.job_id == job_id, JobEventRow.kind == kind)
            .order_by(JobEventRow.seq.desc())
            .limit(1)
        )
        row = self.read(lambda session: session.scalars(query).first())
        return None if row is None else event_of(row)
