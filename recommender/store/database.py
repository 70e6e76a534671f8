"""The part of the store that every kind of record shares: open, read, write, retry."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from recommender.errors import StorageError
from recommender.store.engine import connect, is_transient, place_of, resolve, storage_error
from recommender.store.schema import prepare

ResultT = TypeVar("ResultT")
RETRY_DELAYS_S = (0.1, 0.4, 1.0, 3.0, 6.0)  # outlasts the restart of a PostgreSQL server


class Database:
    """One open store. Safe to share between threads; a forked or spawned process opens its own.

    Raises StorageError wherever the database refuses, and leaves what was stored before intact.
    """

    def __init__(self, url: str | Path | None = None) -> None:
        self._url = resolve(url)
        self.engine = connect(self._url)
        try:
            prepare(self.engine)
        except (SQLAlchemyError, OSError) as error:
            self.close()
            raise storage_error(error, self._url) from error
        except StorageError:
            self.close()
            raise

    @property
    def place(self) -> str:
        """The store's address, without a password."""
        return place_of(self._url)

    @property
    def url(self) -> str:
        """The address that opens this store in another process. It may hold a password: never print it."""
        return self._url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, work: Callable[[Session], ResultT]) -> ResultT:
        """Run `work` in a transaction that only reads."""
        return self._transact(work, writes=False)

    def write(self, work: Callable[[Session], ResultT]) -> ResultT:
        """Run `work` in a transaction that is committed whole or not at all.

        `work` must bear being run twice: a server that dies while it commits does not say whether it did.
        """
        return self._transact(work, writes=True)

    def _transact(self, work: Callable[[Session], ResultT], *, writes: bool) -> ResultT:
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                return self._once(work, writes=writes)
            except SQLAlchemyError as error:
                if delay_s is None or not is_transient(error):
                    raise storage_error(error, self._url) from error
                time.sleep(delay_s)
        raise AssertionError("unreachable")

    def _once(self, work: Callable[[Session], ResultT], *, writes: bool) -> ResultT:
        with (
            self.engine.connect() as connection,
            connection.execution_options(writes=writes).begin(),
            Session(connection, expire_on_commit=False) as session,
        ):
            result = work(session)
            session.flush()
            return result


def lock_name(session: Session, name: str) -> None:
    """Wait until no other transaction holds this name, and hold it to our end; on SQLite, writers do that anyway."""
    if session.get_bind().dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        session.execute(select(func.pg_advisory_xact_lock(number)))


def storable(key: str) -> bool:
    """True if a database can hold this text as a key: no NUL, no lone surrogate."""
    return "\x00" not in key and not any("\ud800" <= char <= "\udfff" for char in key)


def require_key(what: str, key: str) -> str:
    """The key, when it can be stored. Raises StorageError."""
    if not key or not storable(key):
        raise StorageError(f"The {what} {key!r} cannot be a key: it is empty, or has NUL or stray bytes.")
    return key
