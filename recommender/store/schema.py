"""Brings a database to the schema of this version, or refuses with a remedy and leaves it untouched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from recommender.atomic_files import replacing
from recommender.errors import StorageError
from recommender.store.engine import damaged, place_of
from recommender.store.models import HEAD, Base

_MIGRATIONS = Path(__file__).parent / "migrations"
_SQLITE_MAGIC = b"SQLite format 3\x00"
_MAX_CHECKED_MB = 256  # checking every page of a larger file would take seconds; its rows have checksums
_LOCK_TIMEOUT_S = 60  # no upgrade takes longer; a process that hangs must not hang all others
_ADVISORY_LOCK = 0x5243_4D44  # any constant of ours: one upgrade at a time


def prepare(engine: Engine) -> None:
    """Check the database and migrate it when it is new or older. Raises StorageError otherwise."""
    if engine.dialect.name == "sqlite":
        _check_file(Path(str(engine.url.database)))
    with engine.connect() as connection:
        revision = _revision(connection)
        if engine.dialect.name == "sqlite":
            _check_pages(connection)
    if revision != HEAD:
        _migrate(engine)


def _migrate(engine: Engine) -> None:
    """Upgrade in one transaction, under a lock that a second process waits for."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        revision = _revision(connection)  # again: the process before us may have done it
        if revision == HEAD:
            return
        if revision is not None and engine.dialect.name == "sqlite":
            _back_up(Path(str(engine.url.database)), revision)
        _upgrade(connection, revision, place_of(engine.url))


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None for an empty database. Refuses one that is not ours."""
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" not in tables:
        if connection.dialect.name == "sqlite" and tables:
            place = place_of(connection.engine.url)
            raise StorageError(
                f"{place} is a database of another program: it holds {', '.join(sorted(tables)[:5])}.",
                remedy="Name another file, or leave RECOMMENDER_STORE_URL unset.",
            )
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


def _upgrade(connection: Connection, revision: str | None, place: str) -> None:
    # Imported here: a store that is up to date, the usual case, does without alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise _unknown(place, revision)
    if revision is None:
        Base.metadata.create_all(connection, checkfirst=False)
        command.stamp(config, HEAD)
    else:
        command.upgrade(config, HEAD)


def _unknown(place: str, revision: str) -> StorageError:
    """The refusal of a store of a later version, or of a build between two versions, which nobody brings over."""
    if revision < HEAD:
        return StorageError(
            f"The store {place} has schema {revision}, made by an unreleased build; only stores of 0.1 are brought "
            "over. It was left untouched.",
            remedy="Move it away, or name another store with RECOMMENDER_STORE_URL.",
        )
    return StorageError(
        f"The store {place} has schema {revision}; this version knows {HEAD}. It was left untouched.",
        remedy="Update checkpoint-recommender, or name another store with RECOMMENDER_STORE_URL.",
    )


def _check_file(path: Path) -> None:
    """Refuse what is no SQLite file before SQLite opens it; make the folder of a new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            return
        with path.open("rb") as file:
            head = file.read(len(_SQLITE_MAGIC))
    except OSError as error:
        raise StorageError(
            f"The store {path} cannot be opened: {error}.",
            remedy="Make its folder readable and writable, or set RECOMMENDER_HOME to another one.",
        ) from error
    if head and head != _SQLITE_MAGIC:  # an empty file is an empty database
        raise damaged(str(path), "the file is not a database")


def _check_pages(connection: Connection) -> None:
    path = Path(str(connection.engine.url.database))
    if not path.exists() or path.stat().st_size > _MAX_CHECKED_MB * 2**20:
        return
    found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise damaged(str(path), " ".join(str(found).split()))


def _back_up(path: Path, revision: str) -> Path:
    """A consistent copy beside the file, complete or absent, made before an older schema is changed."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    copy = path.with_name(f"{path.name}.before-{HEAD}-from-{revision}-{moment}")
    try:
        with (
            replacing(copy) as part,
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(part)) as target,
        ):
            part.chmod(path.stat().st_mode)  # it holds the same secrets
            source.backup(target)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"The store {path} has the older schema {revision}, and no backup could be made: {error}.",
            remedy="Free some disk space in its folder; the store was left untouched.",
        ) from error
    return copy
