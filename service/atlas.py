"""Where data sets lie among each other: an immutable snapshot of the index, replaced whole when profiles change."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from recommender.errors import RecommenderError
from recommender.profile import SourceIndex
from recommender.profile.known import builtin_profiles, known_sources
from recommender.records import Profile
from recommender.report.dataset_map import dataset_map
from recommender.store import Store
from service.logs import logger, where
from service.metrics import Metrics

LOOK_EVERY_S = 1.0
MOST_ON_MAP = 300  # its cost grows with the square


@dataclass(frozen=True, kw_only=True)
class Place:
    """One data set on the map; coordinates lie within 0 and 1."""

    dataset_hash: str
    name: str
    num_images: int
    x: float
    y: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Atlas:
    """One state of the index. Whoever holds it sees one state only, whatever is swapped in meanwhile."""

    generation: str
    index: SourceIndex
    places: Mapping[str, Place]


class AtlasKeeper:
    """Keeps the newest atlas. `current` never waits: a new one is built aside, then put in its place."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._closing = threading.Event()
        self._atlas: Atlas | None = None
        self._thread = threading.Thread(target=self._run, name="atlas", daemon=True)

    def open(self) -> None:
        """Start following the store."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def current(self) -> Atlas | None:
        """The newest atlas; None until the first is built."""
        return self._atlas

    def renew(self) -> None:
        """Build the atlas of this moment and swap it in."""
        generation = (
            self._store.profiles_generation()
        )  # before the profiles: too old is noticed, too new is not
        profiles = known_sources(self._store)
        self._atlas = draw_atlas(generation, profiles)
        self._metrics.index_sets.set(len(profiles))
        self._metrics.index_swaps.inc()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                atlas = self._atlas
                if atlas is None or atlas.generation != self._store.profiles_generation():
                    self.renew()
            except Exception as error:  # nobody else renews it
                said = {"message": str(error)} if isinstance(error, RecommenderError) else {}
                logger().error("the index is not renewed", failed_in=where(error), **said)
            self._closing.wait(LOOK_EVERY_S)


def draw_atlas(generation: str, profiles: Collection[Profile]) -> Atlas:
    """An atlas of these profiles."""
    ordered = sorted(profiles, key=lambda profile: profile.dataset_hash)
    sizes = {p.dataset_hash: p.num_images.train + p.num_images.val + p.num_images.test for p in ordered}
    places = {
        place.hash: Place(
            dataset_hash=place.hash,
            name=place.name,
            num_images=sizes[place.hash],
            x=round(place.x, 4),
            y=round(place.y, 4),
        )
        for place in dataset_map(ordered[:MOST_ON_MAP])
    }
    return Atlas(
        generation=generation, index=SourceIndex.build(ordered, fingerprint=generation), places=places
    )


def shared_hashes() -> frozenset[str]:
    """Content hashes of the data sets that ship with the program: everybody may know of them."""
    return frozenset(builtin_profiles())
