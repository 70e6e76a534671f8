"""Rate limits by token bucket."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable


class TokenBuckets:
    """One bucket per name. Thread-safe; the least recently used names are forgotten above `max_names`."""

    def __init__(
        self,
        *,
        per_s: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
        max_names: int = 10_000,
    ) -> None:
        self._per_s = per_s
        self._burst = max(1.0, burst)  # less would grant nothing, ever
        self._clock = clock
        self._max_names = max_names
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, at

    def take(self, name: str) -> float:
        """Spend a token; returns 0, or the seconds until there is one."""
        with self._lock:
            now = self._clock()
            tokens, at = self._buckets.pop(name, (self._burst, now))
            tokens = min(self._burst, tokens + (now - at) * self._per_s)
            granted = tokens >= 1.0
            self._buckets[name] = (tokens - 1.0 if granted else tokens, now)
            if len(self._buckets) > self._max_names:
                self._buckets.popitem(last=False)
            return 0.0 if granted else (1.0 - tokens) / self._per_s
