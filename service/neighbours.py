"""What looks like a data set: sources on the map, and pictures side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from recommender.checkpoints import all_checkpoints
from recommender.errors import UnavailableError
from recommender.profile import source_profile
from recommender.records import Profile
from recommender.store import Store
from recommender.store.service_records import HeldDataset
from service.atlas import Atlas, shared_hashes
from service.auth import Caller
from service.context import Services
from service.schemas.datasets import (
    MapAnswer,
    MapPlace,
    NearObject,
    NearPair,
    NeighboursAnswer,
    SimilarSource,
)
from service.thumbnails import Pictures
from service.views import picture_address

NUM_SOURCES = 8
NUM_PAIRS = 6
NUM_NEAREST = 3
LOOKED_AT = 40  # objects of the target among which pairs are chosen
HELD_SHOWN = 200


def map_of(parts: Services, who: Caller) -> MapAnswer:
    """The map as this caller may see it: shared sources and the caller's own data sets."""
    atlas = _atlas(parts)
    trained_on = checkpoints_by_source(parts.store)
    held = _held(parts.store, who)
    places = []
    for place in atlas.places.values():
        own = held.get(place.dataset_hash)
        if own is None and place.dataset_hash not in trained_on and place.dataset_hash not in shared_hashes():
            continue
        places.append(
            MapPlace(
                hash=place.dataset_hash,
                name=own.name if own else place.name,
                x=place.x,
                y=place.y,
                images=place.num_images,
                kind="held" if own else "source",
                checkpoints=trained_on.get(place.dataset_hash, ()),
            )
        )
    return MapAnswer(generation=atlas.generation, places=tuple(places))


def neighbours_of(parts: Services, who: Caller, held: HeldDataset) -> NeighboursAnswer:
    """Similar sources of a data set; empty until it has been profiled."""
    atlas = _atlas(parts)
    profile = source_profile(held.dataset_hash, parts.store)
    if profile is None:
        return NeighboursAnswer(generation=atlas.generation, sources=(), pairs=())
    trained_on = checkpoints_by_source(parts.store)
    among = [name for name in trained_on if name in atlas.places and name != held.dataset_hash]
    hits = atlas.index.search(profile, NUM_SOURCES, among=among) if among else ()
    return NeighboursAnswer(
        generation=atlas.generation,
        sources=tuple(
            SimilarSource(
                name=atlas.places[hit.dataset_hash].name,
                hash=hit.dataset_hash,
                similarity=round(hit.similarity, 4),
                checkpoints=trained_on[hit.dataset_hash],
            )
            for hit in hits
        ),
        pairs=_pairs(parts.store, who, atlas, held, profile, among) if among else (),
    )


def checkpoints_by_source(store: Store) -> dict[str, tuple[str, ...]]:
    """Names of the checkpoints by the content hash of what they were trained on."""
    found: dict[str, list[str]] = defaultdict(list)
    for checkpoint in all_checkpoints(store):
        if checkpoint.source_hash is not None:
            found[checkpoint.source_hash].append(checkpoint.name)
    return {dataset_hash: tuple(names) for dataset_hash, names in found.items()}


def _pairs(
    store: Store, who: Caller, atlas: Atlas, held: HeldDataset, profile: Profile, among: list[str]
) -> tuple[NearPair, ...]:
    """Objects from different images of the target, each with its nearest from the sources."""
    own_pictures = Pictures(held.dataset_hash)
    visible = _held(store, who)
    rows = _spread(profile, own_pictures)[:NUM_PAIRS]
    found = atlas.index.search_objects(profile.object_vectors_MK[rows], 3 * NUM_NEAREST, among=among)
    near = {hit.dataset_hash for hits in found for hit in hits}
    sources = {dataset_hash: source_profile(dataset_hash, store) for dataset_hash in near}
    pairs = []
    for row, hits in zip(rows, found, strict=True):
        nearest: dict[tuple[str, str], NearObject] = {}
        for hit in hits:
            source = sources[hit.dataset_hash]
            if source is None:
                continue
            image = source.object_images[hit.row]
            nearest.setdefault((hit.dataset_hash, image), _near(source, hit.row, hit.cosine, visible))
        pairs.append(
            NearPair(
                image=profile.object_images[row],
                class_name=_class_name(profile, row),
                picture=picture_address(held.id, own_pictures.number_of(profile.object_images[row])),
                nearest=tuple(nearest.values())[:NUM_NEAREST],
            )
        )
    return tuple(pairs)


def _near(source: Profile, row: int, cosine: float, visible: Mapping[str, HeldDataset]) -> NearObject:
    holder = visible.get(source.dataset_hash)
    picture = None
    if holder is not None:
        number = Pictures(source.dataset_hash).number_of(source.object_images[row])
        picture = picture_address(holder.id, number)
    return NearObject(
        source=holder.name if holder else source.dataset_name,
        image=source.object_images[row],
        class_name=_class_name(source, row),
        cosine=round(cosine, 4),
        picture=picture,
    )


def _spread(profile: Profile, pictures: Pictures) -> list[int]:
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
        if len(seen) >= LOOKED_AT:
            break
    later.sort(key=lambda row: pictures.number_of(profile.object_images[row]) is None)
    return first + later


def _class_name(profile: Profile, row: int) -> str:
    number = int(profile.object_classes_M[row])
    return profile.class_names[number] if number < len(profile.class_names) else str(number)


def _held(store: Store, who: Caller) -> dict[str, HeldDataset]:
    items = store.page_held_datasets(owner=who.scope, limit=HELD_SHOWN).items
    return {held.dataset_hash: held for held in reversed(items)}


def _atlas(parts: Services) -> Atlas:
    atlas = parts.atlas.current()
    if atlas is None:
        raise UnavailableError("The index is being built.", remedy="Try again in a few seconds.")
    return atlas
