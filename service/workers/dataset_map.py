"""The data set map and its index: an immutable snapshot, replaced when profiles change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from recommender.profile.index import SourceIndex
from recommender.profile.index_files import open_index
from recommender.profile.known import source_profiles
from recommender.profile.shipped import builtin_profiles
from recommender.records import Profile
from recommender.report.dataset_map import PlacedDataset, dataset_map
from recommender.store import Store
from service.metrics import Metrics
from service.workers.rounds import Rounds

CHECK_INTERVAL_S = 1.0
MAX_MAP_POINTS = 300  # the layout compares all pairs


@dataclass(frozen=True, kw_only=True, eq=False)
class DatasetMap:
    """One snapshot: the index over data set profiles and their positions in two dimensions."""

    generation: str
    index: SourceIndex
    points: Mapping[str, PlacedDataset]  # by data set hash


class DatasetMapRefresher(Rounds):
    """Holds the newest snapshot, which a thread replaces when profiles change. `current` never blocks."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        super().__init__("dataset-map", every_s=CHECK_INTERVAL_S, failure="the index is not refreshed")
        self._store = store
        self._metrics = metrics
        self._snapshot: DatasetMap | None = None

    def current(self) -> DatasetMap | None:
        """The newest snapshot; None until the first is built."""
        return self._snapshot

    def refresh(self) -> None:
        """Build a snapshot of the store's current profiles and publish it."""
        generation = self._store.profiles.generation()  # before the index: too old is noticed, too new is not
        index = open_index(self._store)
        registered = [
            one.dataset_hash for one in self._store.datasets.page(owner=None, limit=MAX_MAP_POINTS).items
        ]
        # Where there are more than fit, those that users look for.
        first = [*registered, *sorted(builtin_hashes()), *sorted(index.hashes)]
        known = set(index.hashes)
        hashes = [one for one in dict.fromkeys(first) if one in known][:MAX_MAP_POINTS]
        shown = source_profiles(hashes, self._store)
        self._snapshot = build_dataset_map(generation, index, shown.values())
        self._metrics.index_sets.set(len(index))
        self._metrics.index_swaps.inc()

    def _round(self) -> None:
        snapshot = self._snapshot
        if snapshot is None or snapshot.generation != self._store.profiles.generation():
            self.refresh()


def build_dataset_map(generation: str, index: SourceIndex, profiles: Collection[Profile]) -> DatasetMap:
    """The snapshot of this index, with positions for these profiles."""
    ordered = sorted(profiles, key=lambda profile: profile.dataset_hash)
    points = {place.hash: place for place in dataset_map(ordered)}
    return DatasetMap(generation=generation, index=index, points=points)


def builtin_hashes() -> frozenset[str]:
    """Content hashes of the data sets whose profiles ship with the program; visible to every owner."""
    return frozenset(builtin_profiles())
