"""Readiness of the store, the index and the cluster, checked at most every two seconds."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass

from recommender.errors import RecommenderError
from recommender.home import home
from recommender.profile import ENCODER
from recommender.store import Store
from service.metrics import Metrics
from service.settings import MB, ServiceSettings
from service.workers.dataset_map import DatasetMapRefresher
from service.workers.job_hosts import JobHosts

CACHE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class ReadinessState:
    """Each component: "ok", or what is wrong."""

    store: str
    index: str
    ray: str
    disk: str

    @property
    def ready(self) -> bool:
        """True when requests can be served."""
        return self.store == self.index == self.disk == "ok" and not self.ray.startswith("not ")


class Readiness:
    """Checks the components, at most every two seconds. Safe between threads."""

    def __init__(
        self,
        store: Store,
        dataset_map: DatasetMapRefresher,
        job_hosts: JobHosts,
        metrics: Metrics,
        settings: ServiceSettings,
    ) -> None:
        self._settings = settings
        self._store = store
        self._dataset_map = dataset_map
        self._job_hosts = job_hosts
        self._metrics = metrics
        self._lock = threading.Lock()
        self._gauges_lock = threading.Lock()
        self._cached: tuple[float, ReadinessState] | None = None

    def state(self) -> ReadinessState:
        """The state as of the last two seconds."""
        with self._lock:
            now = time.monotonic()
            if self._cached is None or now - self._cached[0] > CACHE_S:
                self._cached = (now, self._check())
            return self._cached[1]

    def metrics_page(self) -> bytes:
        """The metrics as they are now. Raises StorageError."""
        with self._gauges_lock:  # nobody is shown what another request has just cleared
            self._update_gauges()
            return self._metrics.page()

    def _update_gauges(self) -> None:
        for gauge in (self._metrics.questions, self._metrics.runs, self._metrics.jobs):
            gauge.clear()  # what there is none of any more is not counted
        for status, count in self._store.recommendations.count().items():
            self._metrics.questions.labels(status).set(count)
        for status, count in self._store.runs.count().items():
            self._metrics.runs.labels(status).set(count)
        for (kind, status), count in self._store.jobs.count().items():
            self._metrics.jobs.labels(kind, status).set(count)
        spent_s, allowed_s = self._job_hosts.budget()
        self._metrics.budget.labels("spent").set(spent_s)
        self._metrics.budget.labels("allowed").set(allowed_s)

    def _check(self) -> ReadinessState:
        return ReadinessState(
            store=self._store_state(),
            index=self._index_state(),
            ray=self._job_hosts.state(),
            disk=self._disk_state(),
        )

    def _store_state(self) -> str:
        try:
            self._store.profiles.has("readiness", ENCODER)
        except RecommenderError as error:
            return f"not reachable: {error.message}"
        return "ok"

    def _disk_state(self) -> str:
        free_mb = shutil.disk_usage(home()).free // MB
        wanted_mb = self._settings.min_free_mb
        return "ok" if free_mb >= wanted_mb else f"not enough space: {free_mb} MB free, {wanted_mb} MB wanted"

    def _index_state(self) -> str:
        return "ok" if self._dataset_map.current() is not None else "not built yet"
