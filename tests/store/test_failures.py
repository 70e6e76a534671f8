"""A store that fails says why and what to do, and what was stored before is intact (R10, R11, R14)."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from recommender.errors import StorageError, UsageError
from recommender.store import Store, engine
from recommender.store import database as database_module
from tests.postgres import PASSWORD, PostgresServer, running_server
from tests.store.builders import checkpoint, profile, run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store with one run in it."""
    place = tmp_path / "store.sqlite3"
    with Store(place) as store:
        store.runs.add(run())
    return place


def _big_profile() -> Any:
    rng = np.random.default_rng(0)
    return replace(profile(), image_hashes_NB=rng.integers(0, 256, (40_000, 32), dtype=np.uint8))


def test_a_full_database_refuses_and_keeps_what_it_has(file: Path) -> None:
    with Store(file) as store:
        event.listen(
            store.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 60")
        )
        store.engine.dispose()  # so that the next connection has the limit
        with pytest.raises(StorageError, match=r"full.*Free some disk space"):
            store.profiles.put(_big_profile())
        assert store.runs.list() == (run(),)
    with Store(file) as store:
        assert store.runs.list() == (run(),)
        store.profiles.put(_big_profile())


_ON_A_SMALL_DISK = """
    import subprocess, sys
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", sys.argv[1]], check=True)
    from pathlib import Path
    from recommender.errors import StorageError
    from recommender.store import Store
    from tests.store.builders import run
    from tests.store.test_failures import _big_profile
    file = Path(sys.argv[1]) / "store.sqlite3"
    with Store(file) as store:
        store.runs.add(run())
        try:
            store.profiles.put(_big_profile())
        except StorageError as error:
            print(error)
        assert store.runs.list() == (run(),)
    with Store(file) as store:
        assert store.runs.list() == (run(),) and store.profiles.hashes("probe-1")[1] == set()
        store.runs.add(run("run-2"))
        print("intact")
"""


@pytest.mark.slow
def test_a_full_disk_keeps_what_it_has(tmp_path: Path) -> None:
    possible = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if possible.returncode != 0:
        pytest.skip("needs a mount namespace of its own for a small file system")
    code = textwrap.dedent(_ON_A_SMALL_DISK)
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Free some disk space" in done.stdout
    assert done.stdout.endswith("intact\n")


def test_a_writer_that_waits_in_vain_says_who_is_in_the_way(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.1)
    with Store(file) as store, closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"locked.*Another process has been writing"):
            store.runs.add(run("run-2"))
        assert store.runs.list() == (run(),)  # readers are not in the way
        other.execute("ROLLBACK")
        assert store.runs.add(run("run-2"))


def test_a_writer_waits_for_another_to_finish(file: Path) -> None:
    with (
        Store(file) as store,
        closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.execute, ["ROLLBACK"])
        timer.start()
        assert store.runs.add(run("run-2"))
        timer.join()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="writable"):
        Store(tmp_path / "store.sqlite3")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot be opened.*RECOMMENDER_HOME"):
        Store(tmp_path)


def test_the_journal_is_the_rollback_journal_and_foreign_keys_hold(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:  # somebody's tool switched it
        assert other.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    with Store(file) as store, store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/x", "nonsense", "://", "http://example.org"]
)
def test_addresses_we_cannot_use_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="Allowed are sqlite:///absolute/path"):
        Store(url)


def test_the_environment_names_the_store(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store() as store:
        assert store.place == str(home / "store.sqlite3")
    monkeypatch.setenv("RECOMMENDER_STORE_URL", f"sqlite:///{tmp_path}/elsewhere/s.db")
    with Store() as store, Store(store.url) as again:
        assert store.place == again.place == f"{tmp_path}/elsewhere/s.db"


@pytest.mark.slow
def test_opening_an_up_to_date_store_loads_no_alembic_and_the_codec_no_sqlalchemy(file: Path) -> None:
    code = f"""
import sys
import recommender.store.codec
assert "sqlalchemy" not in sys.modules
from pathlib import Path
from recommender.store import Store
Store(Path({str(file)!r})).close()
assert "sqlalchemy" in sys.modules and "alembic" not in sys.modules and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that may be killed without hurting other tests."""
    with running_server() as server:
        yield server


def test_killed_connections_are_replaced_unnoticed(own_server: PostgresServer) -> None:
    url = own_server.fresh_database()
    with Store(url) as store:
        store.checkpoints.put(checkpoint())
        assert own_server.kill_backends(url) >= 1
        assert store.checkpoints.list() == (checkpoint(),)
        assert own_server.kill_backends(url) >= 1
        assert store.runs.add(run())
        assert store.runs.list() == (run(),)


def test_what_no_server_takes_is_refused_at_once(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(own_server.fresh_database()) as store:
        monkeypatch.setattr("recommender.store.database.RETRY_DELAYS_S", (600.0,))
        with pytest.raises(StorageError, match="NUL"):
            store.recommendations.num_attempts("\0")


@pytest.mark.slow
def test_a_restart_in_the_middle_of_writing_loses_nothing(own_server: PostgresServer) -> None:
    url = own_server.fresh_database()
    with Store(url) as store:
        halted = threading.Event()

        def restart() -> None:
            own_server.stop(signal.SIGINT)
            halted.set()
            own_server.start()

        store.runs.add(run("run-0"))
        thread = threading.Thread(target=restart)
        for i in range(1, 60):
            if i == 10:
                thread.start()
            if i == 11:
                halted.wait(timeout=10)  # the server is down now, not yet up again
            assert store.runs.add(run(f"run-{i}"))
        thread.join()
        assert len(store.runs.list()) == 60


def test_a_server_that_stays_away_is_named_without_its_password(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "RETRY_DELAYS_S", (0.05, 0.05))
    url = own_server.fresh_database()
    with Store(url) as store:
        own_server.stop()
        try:
            with pytest.raises(StorageError, match="recommend doctor") as caught:
                store.runs.list()
            with pytest.raises(StorageError) as at_once:
                Store(url)
        finally:
            own_server.start()
        for said in (str(caught.value), str(at_once.value), store.place):
            assert PASSWORD not in said
            assert f"127.0.0.1:{own_server.port}" in said
