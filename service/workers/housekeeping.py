"""A thread that removes what killed processes have left, at the start and now and then."""

from __future__ import annotations

from pathlib import Path

from recommender.leftovers import sweep_leftovers
from recommender.store import Store
from service.logs import logger, where
from service.uploads import uploads_folder
from service.workers.rounds import Rounds

INTERVAL_S = 900.0
JOIN_S = 5.0  # what is left half swept, the next start sweeps
PAGE = 200


class Housekeeping(Rounds):
    """Sweeps in the background."""

    def __init__(self, store: Store) -> None:
        super().__init__("housekeeping", every_s=INTERVAL_S, failure="leftovers", join_s=JOIN_S)
        self._store = store

    def _round(self) -> None:
        removed = sweep_leftovers(uploads_of(self._store))
        if removed:
            logger().info("leftovers removed", count=len(removed))

    def _failed(self, error: Exception) -> None:
        logger().warning(self._failure, failed_in=where(error))


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
