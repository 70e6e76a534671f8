"""Neighbours of a data set: similar sources, and pairs of similar objects; the map of data sets."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping

from recommender.checkpoints import all_checkpoints
from recommender.errors import UnavailableError
from recommender.profile import source_profile
from recommender.profile.known import source_profiles
from recommender.records import Profile
from recommender.store import Store
from recommender.store.service_records import RegisteredDataset
from service.auth import Caller
from service.dependencies import Services
from service.schemas.datasets import (
    MapAnswer,
    MapPlace,
    NearObject,
    NearPair,
    NeighboursAnswer,
    SimilarSource,
)
from service.schemas.from_records import thumbnail_url
from service.workers.dataset_map import DatasetMap, builtin_hashes
from service.workers.thumbnails import ThumbnailIndex

NUM_SOURCES = 8
NUM_PAIRS = 6
NUM_NEAREST = 3
NUM_CANDIDATES = 40  # objects of the target among which pairs are chosen


def visible_map(services: Services, caller: Caller) -> MapAnswer:
    """The map of the sources of checkpoints and the caller's own data sets."""
    snapshot = _current_map(services)
    trained_on = checkpoints_by_source(services.store)
    held = _own_datasets(services.store, caller, snapshot.points)
    places = []
    for place in snapshot.points.values():
        own = held.get(place.hash)
        if own is None and place.hash not in trained_on and place.hash not in builtin_hashes():
            continue
        places.append(
            MapPlace(
                hash=place.hash,
                name=own.name if own else place.name,
                x=round(place.x, 4),
                y=round(place.y, 4),
                images=place.num_images,
                kind="held" if own else "source",
                checkpoints=trained_on.get(place.hash, ()),
            )
        )
    return MapAnswer(generation=snapshot.generation, places=tuple(places))


def neighbours(services: Services, caller: Caller, held: RegisteredDataset) -> NeighboursAnswer:
    """Similar sources of a data set; empty until it has been profiled."""
    snapshot = _current_map(services)
    profile = source_profile(held.dataset_hash, services.store)
    if profile is None:
        return NeighboursAnswer(generation=snapshot.generation, sources=(), pairs=())
    trained_on = checkpoints_by_source(services.store)
    indexed = set(snapshot.index.hashes)  # the map shows some of them alone
    among = [name for name in trained_on if name in indexed and name != held.dataset_hash]
    hits = snapshot.index.search(profile, NUM_SOURCES, among=among) if among else ()
    found = source_profiles([hit.dataset_hash for hit in hits], services.store)
    return NeighboursAnswer(
        generation=snapshot.generation,
        sources=tuple(
            SimilarSource(
                name=found[hit.dataset_hash].dataset_name,
                hash=hit.dataset_hash,
                similarity=round(hit.similarity, 4),
                checkpoints=trained_on[hit.dataset_hash],
            )
            for hit in hits
            if hit.dataset_hash in found
        ),
        pairs=_pairs(services.store, caller, snapshot, held, profile, among) if among else (),
    )


def checkpoints_by_source(store: Store) -> dict[str, tuple[str, ...]]:
    """Names of the checkpoints by the content hash of what they were trained on."""
    found: dict[str, list[str]] = defaultdict(list)
    for checkpoint in all_checkpoints(store):
        if checkpoint.source_hash is not None:
            found[checkpoint.source_hash].append(checkpoint.name)
    return {dataset_hash: tuple(names) for dataset_hash, names in found.items()}


def _pairs(
    store: Store,
    caller: Caller,
    snapshot: DatasetMap,
    held: RegisteredDataset,
    profile: Profile,
    among: list[str],
) -> tuple[NearPair, ...]:
    """Objects from different images of the target, each with its nearest from the sources."""
    own_pictures = ThumbnailIndex(held.dataset_hash)
    rows = _varied_rows(profile, own_pictures)[:NUM_PAIRS]
    found = snapshot.index.search_objects(profile.object_vectors_MK[rows], 3 * NUM_NEAREST, among=among)
    near = {hit.dataset_hash for hits in found for hit in hits}
    near_one = functools.partial(
        _near, visible=_own_datasets(store, caller, near), pictures=functools.cache(ThumbnailIndex)
    )
    sources = {dataset_hash: source_profile(dataset_hash, store) for dataset_hash in near}
    pairs = []
    for row, hits in zip(rows, found, strict=True):
        nearest: dict[tuple[str, str], NearObject] = {}
        for hit in hits:
            source = sources[hit.dataset_hash]
            if source is None:
                continue
            image = source.object_images[hit.row]
            nearest.setdefault((hit.dataset_hash, image), near_one(source, hit.row, hit.cosine))
        pairs.append(
            NearPair(
                image=profile.object_images[row],
                class_name=_class_name(profile, row),
                picture=thumbnail_url(held.id, own_pictures.number_of(profile.object_images[row])),
                nearest=tuple(nearest.values())[:NUM_NEAREST],
            )
        )
    return tuple(pairs)


def _near(
    source: Profile,
    row: int,
    cosine: float,
    *,
    visible: Mapping[str, RegisteredDataset],
    pictures: Callable[[str], ThumbnailIndex],
) -> NearObject:
    holder = visible.get(source.dataset_hash)
    picture = None
    if holder is not None:
        number = pictures(source.dataset_hash).number_of(source.object_images[row])
        picture = thumbnail_url(holder.id, number)
    return NearObject(
        source=holder.name if holder else source.dataset_name,
        image=source.object_images[row],
        class_name=_class_name(source, row),
        cosine=round(cosine, 4),
        picture=picture,
    )


def _varied_rows(profile: Profile, pictures: ThumbnailIndex) -> list[int]:
    """Rows of objects, one per image and class first, images with pictures before others."""
    seen: set[str] = set()
    classes: set[int] = set()
    first: list[int] = []
    later: list[int] = []
    for row, image in enumerate(profile.object_images):
        if image in seen:
            continue
        seen.add(image)
        number = int(profile.object_classes_M[row])
        new = number not in classes and pictures.number_of(image) is not None
        classes.add(number)
        (first if new else later).append(row)
        if len(seen) >= NUM_CANDIDATES:
            break
    later.sort(key=lambda row: pictures.number_of(profile.object_images[row]) is None)
    return first + later


def _class_name(profile: Profile, row: int) -> str:
    number = int(profile.object_classes_M[row])
    return profile.class_names[number] if number < len(profile.class_names) else str(number)


def _own_datasets(store: Store, caller: Caller, hashes: Collection[str]) -> dict[str, RegisteredDataset]:
    """The newest data set of each content that the caller may see."""
    return {held.dataset_hash: held for held in store.datasets.of_hashes(hashes) if caller.sees(held.owner)}


def _current_map(services: Services) -> DatasetMap:
    snapshot = services.dataset_map.current()
    if snapshot is None:
        raise UnavailableError("The index is being built.", remedy="Try again in a few seconds.")
    return snapshot
