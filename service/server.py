"""One serving process: settings checked, first key made, signals heard, connections let go in order."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from recommender.errors import UsageError
from recommender.home import home
from recommender.store import Store
from service import logs
from service.app import create_app
from service.auth import create_first_key
from service.protocol import HEAD_BYTES, protocol_with
from service.settings import ServiceSettings
from service.workers import tasks
from service.workers.job_hosts import check_head
from tune_jobs.storage import require_storage

_DESCRIPTORS = 65_536  # one per connection
_SWITCH_S = 0.001  # a thread that computes gives way to the one that answers after this long


def serve(settings: ServiceSettings, *, say: Callable[[str], None], plain_logs: bool = False) -> None:
    """Serve until stopped. Raises UsageError for settings or a cluster under which it must not start."""
    settings.check()
    _require_free(settings.host, settings.port)
    require_storage(settings.storage)
    if settings.ray_address is not None:
        check_head(settings.ray_address)
    logs.configure(as_json=not plain_logs)
    os.environ["PYTHONSAFEPATH"] = (
        "1"  # workers load no module from the current folder, which may be a data set
    )
    _allow_many_connections()
    sys.setswitchinterval(_SWITCH_S)
    with Store() as store:
        first = create_first_key(store)
        if first is not None and not sys.stdout.isatty():  # what is printed there would stay in a journal
            file, first = _write_first_key(first), None
            say(f"First start: the administrator's key is in {file}. Keep it and delete the file.")
        app = create_app(settings, store)
        Server(app, settings, first_key=first, say=say).run()


def _write_first_key(key: str) -> Path:
    """A new file, readable by its owner only, with the key."""
    file = home() / "first-admin-key"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(f"{key}\n", encoding="ascii")
    return file


class Server(uvicorn.Server):
    """uvicorn's server; says its address when it listens, and ends event streams when it is stopped."""

    def __init__(
        self,
        app: FastAPI,
        settings: ServiceSettings,
        *,
        first_key: str | None,
        say: Callable[[str], None],
        warm: bool = True,
    ) -> None:
        super().__init__(_configuration(app, settings))
        self._app = app
        self._settings = settings
        self._first_key = first_key
        self._say = say
        self._warm = warm

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        if self.should_exit:
            return
        if self._warm:
            self._app.state.services.pools.submit_recommendation(600.0, tasks.warm)
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        address = f"http://{host}:{self.servers[0].sockets[0].getsockname()[1]}"
        if self._first_key is not None:
            self._say("First start: this key opens the page and the API. It is shown once; keep it.\n")
            self._say(f"    {self._first_key}\n")
            self._say(f"    {address}/login#key={self._first_key}\n")
        self._say(f"Serving on {address}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, and end event streams, which would delay the shutdown."""
        services = getattr(self._app.state, "services", None)
        if services is not None:
            services.event_streams.close()
        # Not remembered as uvicorn would: it raises the signal again at the end, and a stop asked for is no failure.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _configuration(app: FastAPI, settings: ServiceSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_with(head_timeout_s=settings.head_timeout_s, write_timeout_s=settings.write_timeout_s),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_tls_proxy,
        forwarded_allow_ips=list(settings.trusted_proxies),
        # A proxy that reuses a connection in the moment in which we give it up would answer 502.
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_s,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


def _require_free(host: str, port: int) -> None:
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise UsageError(
            f"The service cannot listen on {host}, port {port}: {error.strerror}.",
            remedy="Name an address of this machine with --host and a free --port, or stop what listens there.",
        ) from error


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
