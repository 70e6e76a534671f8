"""Starts the host processes of trainings and sweeps while there are unfinished jobs."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

from recommender.errors import RecommenderError, UsageError
from recommender.store import Store
from service.logs import logger, where
from service.metrics import Metrics
from service.settings import ServiceSettings
from service.workers.rounds import Rounds
from tune_jobs import head_security, hosting, sweep_host, training_spec
from tune_jobs.hosting import JobLocation, ensure_host

CHECK_INTERVAL_S = 2.0
PROBE_S = 2.0
HOST_MODULES = {
    training_spec.KIND: hosting.__name__,
    sweep_host.KIND: sweep_host.MODULE,
}  # host module by kind of job


class JobHosts(Rounds):
    """Looks after the host processes, which submit the jobs in the store to the cluster, each once.

    Jobs that an earlier service left unfinished are continued; a host process with work goes on when this one closes,
    and is found again at the next start.
    """

    def __init__(self, store: Store, settings: ServiceSettings, metrics: Metrics) -> None:
        super().__init__("job-hosts", every_s=CHECK_INTERVAL_S, failure="no launcher")
        self._store = store
        self._metrics = metrics
        self._enabled = settings.launcher
        self.place = JobLocation(address=settings.ray_address, storage=settings.storage)

    def open(self) -> None:
        """Begin with a first round, unless this service is not to launch anything."""
        if self._enabled:
            super().open()

    def state(self) -> str:
        """The state of the cluster: "ok …", or "not …" with the reason."""
        address = self.place.address
        if address is None:
            return "ok, local: started with the first training"
        if address == "auto":
            address = head_security.current_head() or ""
        parts = urlsplit(address if "://" in address else f"//{address}")
        try:
            with socket.create_connection((parts.hostname or "", parts.port or 8265), timeout=PROBE_S):
                return "ok"
        except (OSError, ValueError):
            return f"not reachable: nothing answers at {parts.hostname}:{parts.port}"

    def budget(self) -> tuple[float, float]:
        """Seconds that sweeps under way have spent, and may spend where they have a budget. Raises StorageError."""
        spent_s = allowed_s = 0.0
        for job, _ in self._store.launches.active(self.place.cluster):
            told = self._store.jobs.last_event(job.id, "cost") if job.kind == sweep_host.KIND else None
            if told is not None:
                cost = json.loads(told.data)
                spent_s += cost["spent_s"]
                allowed_s += cost["limit_s"] or 0.0
        return spent_s, allowed_s

    def _round(self) -> None:
        kinds = {job.kind for job, _ in self._store.launches.active(self.place.cluster)}
        for kind in kinds & HOST_MODULES.keys():
            ensure_host(self._store, self.place, module=HOST_MODULES[kind])

    def _failed(self, error: Exception) -> None:
        self._metrics.launch_failures.inc()
        said = {"message": str(error)} if isinstance(error, RecommenderError | OSError) else {}
        logger().error(self._failure, failed_in=where(error), **said)


def check_head(address: str) -> None:
    """Raise UsageError for a Ray head without token authentication; one that does not answer is not judged here."""
    known = head_security.current_head() if address == "auto" else address
    if known is None:
        return
    try:
        without_token = head_security.is_open(known)
    except RecommenderError:
        return
    if without_token:
        raise UsageError(
            f"The Ray head at {known} asks for no token: whoever reaches it runs code there as its user.",
            remedy="Start it with RAY_AUTH_MODE=token and give the service the same token; see docs/cluster.md.",
        )
