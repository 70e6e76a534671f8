"""Whether the parts around the service answer, asked at most every two seconds however often somebody looks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from recommender.errors import RecommenderError
from recommender.profile import ENCODER
from recommender.store import Store
from service.atlas import AtlasKeeper
from service.launching import Launching
from service.metrics import Metrics

BELIEVED_S = 2.0


@dataclass(frozen=True, kw_only=True)
class State:
    """Each part: "ok", or what is wrong."""

    store: str
    index: str
    ray: str

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return self.store == self.index == "ok" and not self.ray.startswith("not ")


class Readiness:
    """Safe between threads."""

    def __init__(self, store: Store, atlas: AtlasKeeper, launching: Launching, metrics: Metrics) -> None:
        self._store = store
        self._atlas = atlas
        self._launching = launching
        self._metrics = metrics
        self._lock = threading.Lock()
        self._seen: tuple[float, State] | None = None

    def look(self) -> State:
        """The state as of the last two seconds."""
        with self._lock:
            now = time.monotonic()
            if self._seen is None or now - self._seen[0] > BELIEVED_S:
                self._seen = (now, self._ask())
            return self._seen[1]

    def measure(self) -> None:
        """Set the gauges that are read from the store. Raises StorageError."""
        for status, count in self._store.count_asks().items():
            self._metrics.questions.labels(status).set(count)
        for status, count in self._store.count_runs().items():
            self._metrics.runs.labels(status).set(count)
        for (kind, status), count in self._store.count_jobs().items():
            self._metrics.jobs.labels(kind, status).set(count)
        spent_s, allowed_s = self._launching.budget()
        self._metrics.budget.labels("spent").set(spent_s)
        self._metrics.budget.labels("allowed").set(allowed_s)

    def _ask(self) -> State:
        return State(store=self._store_state(), index=self._index_state(), ray=self._launching.state())

    def _store_state(self) -> str:
        try:
            self._store.has_profile("readiness", ENCODER)
        except RecommenderError as error:
            return f"not reachable: {error.message}"
        return "ok"

    def _index_state(self) -> str:
        return "ok" if self._atlas.current() is not None else "not built yet"
