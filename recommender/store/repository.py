"""Base of the repositories: each reads and writes one subject of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from recommender.store.database import Database

ResultT = TypeVar("ResultT")


class Repository:
    """One subject of an open store. As safe between threads as the database it shares with its siblings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _read(self, work: Callable[[Session], ResultT]) -> ResultT:
        return self._database.read(work)

    def _write(self, work: Callable[[Session], ResultT]) -> ResultT:
        return self._database.write(work)
