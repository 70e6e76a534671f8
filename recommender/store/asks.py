"""Recommendations asked for: a queue that survives restarts, and the cache of its answers.

A service leases what it answers. Where a lease is given up (the service was killed) the next one takes the
question; only the holder may file the answer, so no question is answered twice.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from recommender.records import Lease
from recommender.store.clock import utc_now
from recommender.store.database import require_key, storable
from recommender.store.events import append_event
from recommender.store.paging import cursor_after, paged
from recommender.store.repository import Repository
from recommender.store.service_models import AskRow
from recommender.store.service_records import Ask, Page, Status

_OPEN = ("queued", "running")
MAX_LEASES = 3  # a question that has killed this many services is given up


class RecommendationJobs(Repository):
    """Keyed by id."""

    def add(self, ask: Ask) -> None:
        """Queue a question, or file one that is answered already."""
        require_key("recommendation id", ask.id)

        def work(session: Session) -> None:
            if session.get(AskRow, ask.id) is not None:
                return
            columns = {name: getattr(ask, name) for name in _COLUMNS}
            session.add(AskRow(**columns, lease_holder="", lease_beat=0, num_leases=0))
            append_event(session, topic_of(ask.id), "status", {"status": ask.status})

        self._write(work)

    def get(self, id: str) -> Ask | None:
        """The question of this id with its answer, or None."""
        if not storable(id):
            return None
        row = self._read(lambda session: session.get(AskRow, id))
        return None if row is None else _ask(row)

    def find(self, cache_key: str, *, status: Status, owner: str | None = None) -> Ask | None:
        """The latest with this cache key in this state."""
        query = select(AskRow).where(AskRow.cache_key == cache_key, AskRow.status == status)
        if owner is not None:
            query = query.where(AskRow.owner == owner)
        query = query.order_by(AskRow.created_at.desc()).limit(1)
        row = self._read(lambda session: session.scalars(query).first())
        return None if row is None else _ask(row)

    def page(
        self,
        *,
        owner: str | None,
        dataset_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Ask]:
        """Questions of an owner, or of all, newest first."""
        query = select(AskRow)
        if owner is not None:
            query = query.where(AskRow.owner == owner)
        if dataset_id is not None:
            if not storable(dataset_id):
                return Page(items=(), next_cursor=None)
            query = query.where(AskRow.dataset_id == dataset_id)
        query = paged(query, AskRow, cursor=cursor, limit=limit)
        rows = self._read(lambda session: session.scalars(query).all())
        return Page(items=tuple(_ask(row) for row in rows[:limit]), next_cursor=cursor_after(rows, limit))

    def open(self, *, limit: int = 100) -> tuple[tuple[Ask, Lease], ...]:
        """Questions without an answer, oldest first, and who is at them."""
        query = select(AskRow).where(AskRow.status.in_(_OPEN)).order_by(AskRow.created_at).limit(limit)
        rows = self._read(lambda session: session.scalars(query).all())
        return tuple((_ask(row), Lease(holder=row.lease_holder, beat=row.lease_beat)) for row in rows)

    def take_lease(self, id: str, *, seen: Lease, holder: str) -> bool:
        """Become the one who answers, if the lease is still as `seen`."""

        def work(session: Session) -> bool:
            row = session.get(AskRow, id, with_for_update=True)
            if (
                row is None
                or row.status not in _OPEN
                or (row.lease_holder, row.lease_beat) != (seen.holder, seen.beat)
            ):
                return False
            row.lease_holder, row.lease_beat = holder, row.lease_beat + 1
            row.num_leases += 1
            row.status = "running"
            append_event(session, topic_of(row.id), "status", {"status": "running"})
            return True

        return self._write(work)

    def renew_lease(self, id: str, *, holder: str) -> bool:
        """Show that the holder lives; False when it is not the holder any more."""

        def work(session: Session) -> bool:
            change = (
                update(AskRow)
                .where(AskRow.id == id, AskRow.lease_holder == holder, AskRow.status == "running")
                .values(lease_beat=AskRow.lease_beat + 1)
            )
            return cast(CursorResult[Any], session.execute(change)).rowcount > 0

        return self._write(work)

    def num_leases(self, id: str) -> int:
        """How often this question was taken up."""
        return self._read(lambda s: s.scalar(select(AskRow.num_leases).where(AskRow.id == id))) or 0

    def finish(
        self,
        id: str,
        *,
        holder: str,
        status: Status,
        document: str | None = None,
        problem: str | None = None,
    ) -> bool:
        """File the answer; False where the lease has passed on or the question was cancelled."""

        def work(session: Session) -> bool:
            row = session.get(AskRow, id, with_for_update=True)
            if row is None or row.status != "running" or row.lease_holder != holder:
                return False
            row.status, row.document, row.problem = status, document, problem
            row.finished_at = utc_now()
            append_event(session, topic_of(id), "status", {"status": status})
            return True

        return self._write(work)

    def release(self, holder: str) -> None:
        """Put back what this service was answering; it is shutting down."""
        change = (
            update(AskRow)
            .where(AskRow.lease_holder == holder, AskRow.status == "running")
            .values(status="queued", lease_holder="", num_leases=AskRow.num_leases - 1)
        )

        def work(session: Session) -> None:
            session.execute(change)

        self._write(work)

    def cancel(self, id: str) -> bool:
        """Give a question up; False when it is finished already."""

        def work(session: Session) -> bool:
            change = (
                update(AskRow)
                .where(AskRow.id == id, AskRow.status.in_(_OPEN))
                .values(status="cancelled", finished_at=utc_now())
            )
            if cast(CursorResult[Any], session.execute(change)).rowcount == 0:
                return False
            append_event(session, topic_of(id), "status", {"status": "cancelled"})
            return True

        return storable(id) and self._write(work)

    def count(self) -> dict[str, int]:
        """How many questions are in each open state."""
        query = select(AskRow.status, func.count()).where(AskRow.status.in_(_OPEN)).group_by(AskRow.status)
        found = self._read(lambda session: [(status, count) for status, count in session.execute(query)])
        return dict.fromkeys(_OPEN, 0) | dict(found)

    def count_open(self, owner: str) -> int:
        """How many questions of an owner are open."""
        query = select(func.count()).where(AskRow.owner == owner, AskRow.status.in_(_OPEN))
        return self._read(lambda session: session.scalar(query)) or 0


def topic_of(id: str) -> str:
    """Where the events of a recommendation are."""
    return f"recommendation/{id}"


_COLUMNS = (
    "id",
    "owner",
    "dataset_id",
    "dataset_hash",
    "question",
    "cache_key",
    "status",
    "created_at",
    "finished_at",
    "document",
    "problem",
)


def _ask(row: AskRow) -> Ask:
    return Ask(**{name: getattr(row, name) for name in _COLUMNS})
