"""A thread that removes what killed processes have left, at the start and now and then."""

from __future__ import annotations

import threading
from pathlib import Path

from recommender.leftovers import sweep_leftovers
from recommender.store import Store
from service.logs import logger, where
from service.uploads import uploads_folder

INTERVAL_S = 900.0
PAGE = 200


class Housekeeping:
    """Sweeps in the background; an error is logged and the next round tries again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def open(self) -> None:
        """Begin with a first round."""
        self._thread.start()

    def close(self) -> None:
        """End; a round under way is not waited for long."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                removed = sweep_leftovers(uploads_of(self._store))
                if removed:
                    logger().info("leftovers removed", count=len(removed))
            except Exception as error:
                logger().warning("leftovers", failed_in=where(error))
            self._closing.wait(INTERVAL_S)


def uploads_of(store: Store) -> frozenset[Path]:
    """The upload folders of every held data set. Raises StorageError."""
    found: set[Path] = set()
    root, cursor = uploads_folder(), None
    while True:
        page = store.datasets.page(owner=None, cursor=cursor, limit=PAGE)
        paths = [Path(item.path) for item in page.items]
        found |= {root / path.relative_to(root).parts[0] for path in paths if path.is_relative_to(root)}
        if page.next_cursor is None:
            return frozenset(found)
        cursor = page.next_cursor
