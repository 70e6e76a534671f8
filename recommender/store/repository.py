"""Base of the repositories: each reads and writes one subject of a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import Session

from recommender.store.database import Database, storable
from recommender.store.models import Base
from recommender.store.paging import cursor_after, paged
from recommender.store.rows import checked
from recommender.store.service_records import Page

ResultT = TypeVar("ResultT")
RecordT = TypeVar("RecordT")

_MAX_VALUES = 500  # in one query, below every database's limit of parameters


class Repository:
    """One subject of an open store. As safe between threads as the database it shares with its siblings.

    `_record` and `_records` read tables that keep their records as text.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def _read(self, work: Callable[[Session], ResultT]) -> ResultT:
        return self._database.read(work)

    def _write(self, work: Callable[[Session], ResultT]) -> ResultT:
        return self._database.write(work)

    def _record(self, kind: type[RecordT], table: Any, key: str) -> RecordT | None:
        """The record of this key, or None. Raises StorageError as `checked`."""
        row = self._read(lambda session: session.get(table, key)) if storable(key) else None
        return None if row is None else checked(kind, row)

    def _records(self, kind: type[RecordT], query: Select[Any]) -> tuple[RecordT, ...]:
        """The records that a query finds, in its order. Raises StorageError as `checked`."""
        return tuple(checked(kind, row) for row in self._read(lambda session: session.scalars(query).all()))

    def _page(
        self, read: Callable[[Any], RecordT], table: Any, query: Select[Any], cursor: str | None, limit: int
    ) -> Page[RecordT]:
        """One page of what a query finds, newest first. Raises UsageError as `paged`."""
        query = paged(query, table, cursor=cursor, limit=limit)
        rows = self._read(lambda session: session.scalars(query).all())
        return Page(items=tuple(read(row) for row in rows[:limit]), next_cursor=cursor_after(rows, limit))

    def _remove(
        self, table: type[Base], *key: str, then: Callable[[Session], object] = lambda session: None
    ) -> bool:
        """Delete the row of this key, and do `then` in the same transaction; False when there was none."""

        def work(session: Session) -> bool:
            row = session.get(table, key)
            if row is None:
                return False
            session.delete(row)
            then(session)
            return True

        return all(storable(part) for part in key) and self._write(work)


def in_parts(values: Collection[str]) -> Iterator[list[str]]:
    """The values that a database can hold, each once and sorted, in parts that one query takes."""
    asked = sorted(value for value in set(values) if storable(value))
    for start in range(0, len(asked), _MAX_VALUES):
        yield asked[start : start + _MAX_VALUES]
