"""Events in the store: whatever happens to a training, a sweep or a recommendation, in order, once each.

Readers remember the last number they saw, so nothing is lost or repeated over a reconnect, a restart, or
between two services on one database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from recommender.store.clock import utc_now
from recommender.store.database import require_key, storable
from recommender.store.repository import Repository
from recommender.store.service_models import EventRow
from recommender.store.service_records import Event


class Events(Repository):
    """Keyed by topic and number."""

    def add(self, topic: str, kind: str, data: Mapping[str, Any]) -> int:
        """Append an event; returns its number."""
        return self._write(lambda session: append_event(session, topic, kind, data))

    def after(self, topic: str, seq: int = 0, *, limit: int = 500) -> tuple[Event, ...]:
        """The events of a topic behind number `seq`, in order."""
        if not storable(topic):
            return ()
        query = (
            select(EventRow)
            .where(EventRow.topic == topic, EventRow.seq > seq)
            .order_by(EventRow.seq)
            .limit(limit)
        )
        return tuple(_event(row) for row in self._read(lambda session: session.scalars(query).all()))

    def remove(self, topic: str) -> None:
        """Forget all events of a topic."""

        def work(session: Session) -> None:
            session.execute(delete(EventRow).where(EventRow.topic == topic))

        if storable(topic):
            self._write(work)


def append_event(session: Session, topic: str, kind: str, data: Mapping[str, Any]) -> int:
    """Append within a transaction of the caller, so that a change and its event are one.

    Two writers of one topic collide on the key; the store then runs the transaction again.
    """
    latest = session.scalar(select(func.max(EventRow.seq)).where(EventRow.topic == topic)) or 0
    session.add(
        EventRow(
            topic=require_key("topic", topic),
            seq=latest + 1,
            kind=kind,
            data=json.dumps(data, allow_nan=False, sort_keys=True),
            created_at=utc_now(),
        )
    )
    session.flush()
    return latest + 1


def _event(row: EventRow) -> Event:
    return Event(topic=row.topic, seq=row.seq, kind=row.kind, data=row.data, created_at=row.created_at)
