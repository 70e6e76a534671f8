"""Old stores are brought up to date after a backup; what cannot be trusted is refused and left untouched (R11)."""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, insert, select

from recommender.errors import StorageError
from recommender.records import Evidence
from recommender.report.document import RecommendationDocument
from recommender.store import Store, schema
from recommender.store.engine import connect, resolve
from recommender.store.models import HEAD, Base
from tests.postgres import PostgresServer
from tests.store.builders import assert_same_profile, checkpoint, profile, run

OLD = sorted((Path(__file__).parent / "old_schemas").glob("*.sqlite3"))

# Recommendations that were asked for and the events of one, as version 0.1 kept them.
QUEUE = (
    "INSERT INTO asks VALUES ('rec_1', 'ada', 'ds_1', 'hash', '{}', 'key', 'succeeded', '2026-11-01T00:00:00+00:00',"
    " '2026-11-01T00:01:00+00:00', '{\"answer\": 1}', NULL, 'service', 7, 1)",
    "INSERT INTO asks VALUES ('rec_2', 'ada', 'ds_1', 'hash', '{\"epochs\": 5}', 'other', 'running',"
    " '2026-11-02T00:00:00+00:00', NULL, NULL, NULL, 'killed', 3, 2)",
    "INSERT INTO events VALUES ('recommendation/rec_2', 1, 'status', '{\"status\": \"queued\"}', '2026-11-02')",
    "INSERT INTO events VALUES ('recommendation/rec_2', 2, 'progress', '{\"done\": 1}', '2026-11-03')",
    "INSERT INTO claims VALUES ('run-1', 4)",
)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _refused(file: Path, match: str) -> StorageError:
    """Opening fails with a remedy, and the file keeps its every byte."""
    before = _sha256(file)
    with pytest.raises(StorageError, match=match) as caught:
        Store(file)
    assert caught.value.remedy
    assert _sha256(file) == before
    assert not list(file.parent.glob("*.part"))
    return caught.value


def test_a_store_of_todays_schema_is_made_as_its_module_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_old_schema", str(tmp_path / "today.sqlite3")])
    runpy.run_module("tests.store.make_old_schema", run_name="__main__")
    with Store(tmp_path / "today.sqlite3") as store:
        assert store.checkpoints.list()
        assert store.runs.list()


def test_the_newest_migration_is_the_one_the_models_name() -> None:
    directory = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert directory.get_current_head() == HEAD


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.parametrize("begin", ["new", "0004"])
def test_new_and_migrated_stores_are_what_the_models_describe(
    begin: str, backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "store.sqlite3"
    address = file if backend == "sqlite" else request.getfixturevalue("postgres").fresh_database()
    if begin != "new":
        _copy_tables(OLD[0], address)
    with Store(address) as store, store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == HEAD


def _copy_tables(old: Path, address: Path | str) -> None:
    """The tables and rows of an SQLite file in another database of either kind."""
    tables, source, target = MetaData(), connect(resolve(old)), connect(resolve(address))
    with source.connect() as connection:
        tables.reflect(connection)
        rows = {table: connection.execute(select(table)).mappings().all() for table in tables.sorted_tables}
    for column in (column for table in rows for column in table.columns):
        column.type = column.type.as_generic()
    with target.connect().execution_options(writes=True) as connection, connection.begin():
        tables.create_all(connection)
        for table in filter(rows.get, rows):
            connection.execute(insert(table), list(map(dict, rows[table])))
    source.dispose()
    target.dispose()


@pytest.mark.parametrize("old", OLD, ids=lambda file: file.stem)
def test_an_old_file_is_migrated_after_a_backup(old: Path, tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    shutil.copy(old, file)
    for _ in range(2):  # the second time it is up to date already
        with Store(file) as store:
            assert store.runs.list() == (run(),)
            assert store.checkpoints.list() == (checkpoint(),)
            (found,) = store.profiles.get_all(["masks-0"], "probe-1").values()
            assert_same_profile(found, profile())
            store.evidence.put_all("data", "1", {"weights": Evidence(similarity=0.5)})  # a newer table
    (backup,) = tmp_path.glob(f"store.sqlite3.before-{HEAD}-from-{old.stem}-*")
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (old.stem,)
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_an_old_file_is_left_alone_when_no_backup_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "store.sqlite3"
    shutil.copy(OLD[0], file)

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    error = _refused(file, "no backup could be made")
    assert "Free some disk space" in str(error)


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    shutil.copy(OLD[0], file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE ignored_runs (surprise TEXT)")  # in the way of the migration
        connection.commit()
    with pytest.raises(StorageError, match="ignored_runs"):
        Store(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0004",)
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert "asks" in tables  # dropped by the same migration, a step earlier


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    Store(file).close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert "Update checkpoint-recommender" in str(_refused(file, f"schema 9999; this version knows {HEAD}"))


@pytest.mark.parametrize("revision", ["0003", "0007"])
def test_the_schema_of_an_unreleased_build_is_refused_without_advice_to_update(
    tmp_path: Path, revision: str
) -> None:
    file = tmp_path / "store.sqlite3"
    Store(file).close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()
    said = _refused(
        file, f"schema {revision}, made by an unreleased build; only stores of 0.1 are brought over"
    )
    assert str(said.remedy).startswith("Move it away")


def test_a_newer_schema_on_postgresql_is_refused(postgres: PostgresServer) -> None:
    import psycopg

    url = postgres.fresh_database()
    Store(url).close()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match="schema 9999"):
        Store(url)


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bookmarks.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.commit()
    _refused(file, "database of another program: it holds bookmarks")


@pytest.mark.parametrize(
    "content", [b"plain text, and long enough to hold a header " * 9, b"SQLite format 2\x00", b"x"]
)
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "store.sqlite3"
    file.write_bytes(content)
    _refused(file, "not a database")


def _filled(file: Path) -> None:
    with Store(file) as store:
        for i in range(40):
            store.runs.add(run(f"run-{i}"))
        store.profiles.put(profile())


def _truncate(data: bytearray) -> None:
    del data[len(data) // 2 :]


def _zero_a_page(data: bytearray) -> None:
    data[3 * 4096 : 4 * 4096] = bytes(4096)


def _break_a_page_header(data: bytearray) -> None:
    data[4096 : 4096 + 8] = b"\xff" * 8


def _break_the_header(data: bytearray) -> None:
    data[16:40] = b"\x11" * 24


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_truncate, _zero_a_page, _break_a_page_header, _break_the_header])
def test_a_damaged_file_is_refused_untouched(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
    file = tmp_path / "store.sqlite3"
    _filled(file)
    data = bytearray(file.read_bytes())
    damage(data)
    file.write_bytes(data)
    assert "Restore a copy" in str(_refused(file, "is damaged"))


def test_a_flipped_bit_inside_a_record_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    _filled(file)
    data = bytearray(file.read_bytes())
    position = data.index(b'"learning_rate_used": 0.001') + len(b'"learning_rate_used": 0.00')
    data[position] ^= 4  # 0.001 becomes 0.005: still JSON, still a page SQLite trusts
    file.write_bytes(data)
    with Store(file) as store, pytest.raises(StorageError, match="Run is damaged"):
        store.runs.list()


@pytest.mark.slow
def test_random_damage_never_changes_what_is_read(tmp_path: Path) -> None:
    """Each byte range of the file in turn: either refused, or what is read is what was written."""
    file = tmp_path / "store.sqlite3"
    _filled(file)
    sound = file.read_bytes()
    expected = {f"run-{i}": run(f"run-{i}") for i in range(40)}
    refused = 0
    for position in range(0, len(sound), 2999):
        data = bytearray(sound)
        data[position] ^= 0x20
        file.write_bytes(data)
        try:
            with Store(file) as store:
                for found in store.runs.list():
                    assert found == expected[found.id]
        except StorageError:
            refused += 1
    assert refused > 5


@pytest.mark.slow
def test_processes_that_start_together_make_one_schema(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    code = f"from recommender.store import Store; Store('sqlite:///{file}').close()"
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    for process in started:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint.decode()
    Store(file).close()


def test_scores_of_version_0_1_are_found_under_their_new_names(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    shutil.copy(OLD[0], file)
    with Store(file) as store:
        job = store.jobs.get("job-1")
        assert job is not None
        assert job.metrics is not None
        assert job.metrics.score == 0.25
        assert job.metrics.details == {"map50": 0.5, "precision": 0.6, "recall": 0.7}
        (event,) = store.jobs.events("job-1")
        assert json.loads(event.data)["score"] == 0.25
        (asked,) = store.recommendations.page(owner=None).items
        answer = json.loads(asked.document or "")
        assert answer["ranking"][0]["score"]["mean"] == 0.1
        RecommendationDocument.model_validate(answer)


def test_recommendations_of_version_0_1_go_on_in_the_one_table_of_jobs(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    shutil.copy(OLD[0], file)
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in QUEUE:
            connection.execute(statement)
    with Store(file) as store:
        answered = store.recommendations.find("key", "succeeded", owner="ada", dataset_id="ds_1")
        assert answered is not None
        assert (answered.id, answered.document) == ("rec_1", '{"answer": 1}')
        assert answered.finished_at == "2026-11-01T00:01:00+00:00"
        ((waiting, lease),) = store.recommendations.open()
        assert (waiting.id, waiting.question, waiting.dataset_hash) == ("rec_2", '{"epochs": 5}', "hash")
        assert (lease.holder, lease.beat) == ("killed", 3)
        assert store.recommendations.take_lease("rec_2", seen=lease, holder="alive")
        assert store.recommendations.num_attempts("rec_2") == 3
        assert store.recommendations.finish("rec_2", holder="alive", status="succeeded", document="{}")
        events = store.jobs.events("rec_2")
        assert [(event.seq, event.kind) for event in events] == [
            (1, "status"),
            (2, "progress"),
            (3, "status"),
            (4, "status"),
        ]  # numbers go on, so that a follower loses nothing
        assert store.runs.claim("run-1") == 5  # whoever held attempt 4 is still refused
