"""Keeps hosts at work while there are trainings and sweeps: processes of their own, so that nothing here waits."""

from __future__ import annotations

import json
import socket
import threading
from urllib.parse import urlsplit

from recommender.errors import RecommenderError, UsageError
from recommender.store import Store
from service.logs import logger, where
from service.metrics import Metrics
from service.settings import ServiceSettings
from tune_jobs import hosting, sweep_host, training_spec
from tune_jobs.hosting import Place, ensure_host

LOOK_EVERY_S = 2.0
PROBE_S = 2.0
HOSTS = {training_spec.KIND: hosting.__name__, sweep_host.KIND: sweep_host.MODULE}  # which host runs what


class Launching:
    """The outbox' other end: what routes write there, a host takes to the cluster, exactly once."""

    def __init__(self, store: Store, settings: ServiceSettings, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._enabled = settings.launcher
        self.place = Place(address=settings.ray_address, storage=settings.storage)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="launching", daemon=True)

    def open(self) -> None:
        """Start looking after trainings, those of an earlier life included."""
        if self._enabled:
            self._thread.start()

    def close(self) -> None:
        """Stop; a host with work goes on without us, and is found again."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def wake(self) -> None:
        """There is something new to launch."""
        self._wake.set()

    def state(self) -> str:
        """Whether trainings can be launched: "ok …", or "not …" and why."""
        address = self.place.address
        if address is None:
            return "ok, local: started with the first training"
        if address == "auto":
            address = _current_head() or ""
        parts = urlsplit(address if "://" in address else f"//{address}")
        try:
            with socket.create_connection((parts.hostname or "", parts.port or 8265), timeout=PROBE_S):
                return "ok"
        except (OSError, ValueError):
            return f"not reachable: nothing answers at {parts.hostname}:{parts.port}"

    def budget(self) -> tuple[float, float]:
        """Seconds that sweeps under way have spent, and may spend where they have a budget. Raises StorageError."""
        spent_s = allowed_s = 0.0
        for job, _ in self._store.active_jobs(self.place.cluster):
            told = self._store.last_job_event(job.id, "cost") if job.kind == sweep_host.KIND else None
            if told is not None:
                cost = json.loads(told.data)
                spent_s += cost["spent_s"]
                allowed_s += cost["limit_s"] or 0.0
        return spent_s, allowed_s

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                kinds = {job.kind for job, _ in self._store.active_jobs(self.place.cluster)}
                for kind in kinds & HOSTS.keys():
                    ensure_host(self._store, self.place, module=HOSTS[kind])
            except Exception as error:  # nobody else looks after launchers
                self._metrics.launch_failures.inc()
                said = {"message": str(error)} if isinstance(error, RecommenderError | OSError) else {}
                logger().error("no launcher", failed_in=where(error), **said)
            self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()


def check_head(address: str) -> None:
    """Refuse a Ray head that runs anybody's code. One that does not answer yet is checked when it is used.

    Raises UsageError.
    """
    from tune_jobs.head_security import is_open

    known = _current_head() if address == "auto" else address
    if known is None:
        return
    try:
        is_anybodys = is_open(known)
    except RecommenderError:
        return
    if is_anybodys:
        raise UsageError(
            f"The Ray head at {known} asks for no token: whoever reaches it runs code there as its user.",
            remedy="Start it with RAY_AUTH_MODE=token and give the service the same token; see docs/cluster.md.",
        )


def _current_head() -> str | None:
    """The head that `auto` means on this machine."""
    import ray._private.utils as ray_utils

    found: str | None = ray_utils.read_ray_address()
    return found or None
