"""A whole service for tests: in this process behind a client, or behind a real socket."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from starlette.testclient import TestClient

from recommender.store import Store
from service.app import create_app
from service.auth import create_key
from service.dependencies import Services
from service.server import Server
from service.settings import ServiceSettings
from service.workers.pools import WorkerPools

BASE = "http://127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service and keys of three people."""

    app: FastAPI
    store: Store
    client: TestClient  # without a key
    ada: str
    bob: str
    reader: str  # of ada's things
    admin: str

    @property
    def services(self) -> Services:
        """The components behind the application."""
        found: Services = self.app.state.services
        return found

    def as_(self, key: str) -> dict[str, str]:
        """Headers of somebody."""
        return {"Authorization": f"Bearer {key}"}

    def get(self, path: str, key: str | None = None, **options: Any) -> Any:
        """GET as ada, or as somebody else."""
        return self.request("GET", path, key, **options)

    def post(self, path: str, key: str | None = None, **options: Any) -> Any:
        """POST as ada, or as somebody else."""
        return self.request("POST", path, key, **options)

    def delete(self, path: str, key: str | None = None, **options: Any) -> Any:
        """DELETE as ada, or as somebody else."""
        return self.request("DELETE", path, key, **options)

    def request(self, method: str, path: str, key: str | None = None, **options: Any) -> Any:
        """Any request, as ada unless told otherwise."""
        headers = {**self.as_(key or self.ada), **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def upload(self, archive: Path, key: str | None = None) -> Any:
        """Upload a data set."""
        with archive.open("rb") as file:
            return self.post("/v1/datasets", key, files={"file": (archive.name, file, "application/zip")})


def quiet() -> None:
    """No log lines between the tests'."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def settings_for_tests(**changes: Any) -> ServiceSettings:
    """No launcher, and limits that only the tests of limits meet."""
    usual = {"launcher": False, "requests_per_s": 1e6, "costly_per_minute": 1e6, "attempts_per_minute": 1e6}
    return ServiceSettings.model_validate(usual | changes)


class SharedPools(WorkerPools):
    """Worker pools for one service after the other: starting processes costs more than all else of a service."""

    def close(self) -> None:
        """Drop what one service has left waiting."""
        for waiting in (self._reads, self._inspections):
            self._starter.submit(waiting.drop_waiting).result()

    def end(self) -> None:
        """End every process."""
        super().close()


@contextlib.contextmanager
def running(
    folder: Path, store_url: str | None = None, *, pools: WorkerPools | None = None, **changes: Any
) -> Iterator[Service]:
    """A service with a store of its own, and with worker pools of its own unless some are lent to it."""
    with Store(store_url or folder / "store.sqlite3") as store:
        with pytest.MonkeyPatch.context() as patch:
            if pools is not None:
                patch.setattr("service.app.WorkerPools", lambda **_: pools)
            app = create_app(settings_for_tests(**changes), store)
        keys = {
            name: create_key(store, owner=owner, role=role)[1]  # type: ignore[arg-type]
            for name, owner, role in (
                ("ada", "ada", "user"),
                ("bob", "bob", "user"),
                ("reader", "ada", "reader"),
                ("admin", "root", "admin"),
            )
        }
        with TestClient(app, base_url=BASE, raise_server_exceptions=False, follow_redirects=False) as client:
            yield Service(app=app, store=store, client=client, **keys)


@dataclass(frozen=True, kw_only=True)
class Live:
    """A service behind a real socket."""

    port: int
    store: Store
    key: str
    app: FastAPI

    @property
    def address(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """A user's key."""
        return {"Authorization": f"Bearer {self.key}"}


@contextlib.contextmanager
def live(folder: Path, **changes: Any) -> Iterator[Live]:
    """A service on a free port of loopback, served by a thread of this process."""
    with Store(folder / "store.sqlite3") as store:
        settings = settings_for_tests(**{"port": 0, "shutdown_s": 2, **changes})
        app = create_app(settings, store)
        key = create_key(store, owner="ada")[1]
        server = Server(app, settings, first_key=None, say=lambda _: None, warm=False)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started, 30)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Live(port=port, store=store, key=key, app=app)
        finally:
            server.should_exit = True
            app.state.services.event_streams.close()
            thread.join(timeout=30)
            assert not thread.is_alive(), "the service does not stop"


def wait_until(holds: Any, seconds: float, *, every_s: float = 0.05) -> None:
    """Wait for something to become true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} seconds")
        time.sleep(every_s)
