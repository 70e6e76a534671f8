"""A real PostgreSQL server of the tests' own: free port, own data folder, thrown away at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recommender.store import Store
from recommender.store.models import Base
from tune_jobs.local_environment import free_port

PASSWORD = "sesame-for-tests"
_START_S = 30.0


@dataclass(kw_only=True)
class PostgresServer:
    """A running server. Databases are cheap; each test takes a fresh one."""

    binaries: Path
    folder: Path
    port: int
    user_arguments: dict[str, Any]  # how to run as somebody else than root
    process: subprocess.Popen[bytes] | None = None
    _made: list[str] = field(default_factory=list)
    _emptied: str | None = None  # the address of the database that `empty_store` empties

    def url(self, database: str = "postgres") -> str:
        """The address of a database on this server."""
        return f"postgresql://recommender:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def fresh_database(self) -> str:
        """The address of a new, empty database."""
        name = f"store_{len(self._made)}"
        self._made.append(name)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def empty_store(self) -> str:
        """The address of a store without content, the same at each call: a new one takes ten times as long."""
        if self._emptied is None:
            self._emptied = self.fresh_database()
            Store(self._emptied).close()
        with psycopg.connect(self._emptied, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '20s'")
            connection.execute(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY")
        return self._emptied

    def start(self) -> None:
        """Start and wait until it answers."""
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "fsync=off")
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *(part for setting in settings for part in ("-c", setting))],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self.user_arguments,
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT disconnects everybody, SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None

    def kill_backends(self, database: str) -> int:
        """SIGKILL every server process that serves this database, which makes the server restart itself."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        with psycopg.connect(self.url()) as connection:
            pids = [
                int(row[0]) for row in connection.execute(query, [database.rsplit("/", 1)[-1]]).fetchall()
            ]
        for pid in pids:
            with suppress(ProcessLookupError):  # its connection has ended since
                os.kill(pid, signal.SIGKILL)
        return len(pids)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Start a server, or skip the test with the reason why there is none."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("needs the PostgreSQL server programs (initdb, postgres)")
    folder = Path(tempfile.mkdtemp(prefix="recommender-postgres-"))
    arguments = _unprivileged(folder)
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    create = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "recommender", "-E", "UTF8"]
    options = ["--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--locale=C"]
    subprocess.run([*create, *options], check=True, capture_output=True, cwd=folder, **arguments)
    server = PostgresServer(binaries=binaries, folder=folder, port=free_port(), user_arguments=arguments)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # as a crash: nothing of it is to be kept, so nothing need be written
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    found = [Path(name).resolve().parent for name in [shutil.which("initdb")] if name]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "postgres").exists()), None)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """The server refuses to run as root: then it runs as a user without rights, who gets the folder."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names.get("nobody")
    if user is None:
        pytest.skip("PostgreSQL does not run as root, and there is no user to run it as")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
