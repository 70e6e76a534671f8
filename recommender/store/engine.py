"""Connections: one engine per store, SQLite or PostgreSQL, and what their failures mean to a person."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from recommender.errors import StorageError, UsageError
from recommender.home import OTHERS, expanded, home

URL_VARIABLE = "RECOMMENDER_STORE_URL"
BUSY_TIMEOUT_S = 30.0
# Gone, restarting, serialisation, deadlock, too many clients, two inserts of the same new row.
_TRANSIENT_SQLSTATES = ("08", "57P", "40001", "40P01", "53300", "23505")


def resolve(url: str | Path | None) -> URL:
    """The store's address: the one given, else RECOMMENDER_STORE_URL, else a file in our home."""
    if isinstance(url, Path):
        return URL.create("sqlite", database=str(expanded(url).absolute()))
    text = url or os.environ.get(URL_VARIABLE)
    if not text:
        return URL.create("sqlite", database=str(home() / "store.sqlite3"))
    allowed = "Allowed are sqlite:///absolute/path and postgresql://user@host/database."
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"The store's address cannot be understood. {allowed}") from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(database=str(expanded(parsed.database).absolute()))
    raise UsageError(f"A store at {backend!r} without a file or of this kind is not possible. {allowed}")


def connect(url: URL) -> Engine:
    """An engine for this address; nothing is opened yet."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        _make_private(Path(str(url.database)))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # A server that was restarted leaves dead connections in the pool: test each before use.
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})


def _make_private(file: Path) -> None:
    """Let nobody else read the store: it holds the digests of keys. SQLite gives its journal the same rights."""
    # No folder yet, or somebody else's file: opening it says what is wrong.
    with contextlib.suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if mode & OTHERS:
                os.fchmod(descriptor, mode & ~OTHERS)
        finally:
            os.close(descriptor)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    connection.execute("PRAGMA foreign_keys = ON")
    # The write-ahead log of SQLite 3.7.0 to 3.51.2 can corrupt the file: keep the rollback journal.
    connection.execute("PRAGMA journal_mode = DELETE")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can deadlock with its twin: writers lock at once.
    immediate = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def place_of(url: URL) -> str:
    """The store's address for people, without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def is_transient(error: SQLAlchemyError) -> bool:
    """True if trying again may help: the server is restarting, or two writers met."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return False  # its busy timeout has already waited
    unanswered = "08" if isinstance(error, OperationalError) else ""  # the connection is gone
    sqlstate = str(getattr(error.orig, "sqlstate", None) or unanswered)
    return error.connection_invalidated or sqlstate.startswith(_TRANSIENT_SQLSTATES)


def storage_error(error: Exception, url: URL) -> StorageError:
    """Any failure of the database as one clear error with its remedy."""
    original: Any = getattr(error, "orig", None) or error
    reason = " ".join(str(original).split())
    place = place_of(url)
    if url.get_backend_name() != "sqlite":
        full = getattr(original, "sqlstate", None) == "53100"
        remedy = (
            "Free some disk space on the database server."
            if full
            else f"Check that the server runs and {URL_VARIABLE} is right; `recommend doctor` tests it."
        )
        return StorageError(f"The store at {place} failed: {reason}.", remedy=remedy)
    lowered = reason.lower()
    if "full" in lowered or "disk i/o" in lowered:
        remedy = f"Free some disk space for {place}; what was stored before is intact."
    elif "malformed" in lowered or "not a database" in lowered:
        return damaged(place, reason)
    elif "locked" in lowered:
        remedy = f"Another process has been writing for {BUSY_TIMEOUT_S:.0f} s; end it, then try again."
    elif "readonly" in lowered or "unable to open" in lowered:
        remedy = f"Make {place} and its folder writable, or set RECOMMENDER_HOME to another folder."
    else:
        remedy = "`recommend doctor` tests the store."
    return StorageError(f"The store {place} failed: {reason}.", remedy=remedy)


def damaged(place: str, reason: str) -> StorageError:
    """The error for a file that SQLite cannot trust. The file is left as it is."""
    return StorageError(
        f"The store {place} is damaged: {reason}. It was left untouched.",
        remedy=f"Restore a copy ({place}.before-* are ours), or move it away: a new one is made, and what "
        "ships with the program is not affected.",
    )
