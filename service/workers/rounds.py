"""Background threads that do one thing again and again while the service runs."""

from __future__ import annotations

import threading

from recommender.errors import RecommenderError
from service.logs import logger, where


class Rounds:
    """A daemon thread that calls `_round` every `every_s` seconds, and at once when woken, from `open` to `close`.

    A round that fails is logged as `failure`, and the next one tries again: nothing else does this work.
    """

    def __init__(self, name: str, *, every_s: float, failure: str, join_s: float = 30.0) -> None:
        self._every_s = every_s
        self._failure = failure
        self._join_s = join_s
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def open(self) -> None:
        """Begin with a first round."""
        self._thread.start()

    def close(self) -> None:
        """End; a round under way is waited for, for `join_s` at most."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._join_s)

    def wake(self) -> None:
        """Begin the next round at once."""
        self._wake.set()

    def _round(self) -> None:
        raise NotImplementedError

    def _failed(self, error: Exception) -> None:
        said = {"message": str(error)} if isinstance(error, RecommenderError) else {}
        logger().error(self._failure, failed_in=where(error), **said)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._round()
            except Exception as error:
                self._failed(error)
            self._wake.wait(self._every_s)
            self._wake.clear()
