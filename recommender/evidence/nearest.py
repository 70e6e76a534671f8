"""Where the objects most like the target's come from.

Shapes: M the target's sampled objects, K dimensions of an object vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recommender.records import Profile

NEAREST_OBJECTS = 24  # of the target, shown and stored
OBJECTS_PER_SOURCE = 256  # of each source, so that a larger profile has no more chances


def nearest_sources(target: Profile, sources: Sequence[Profile]) -> tuple[str, ...]:
    """For each of some target objects, the name of the source that holds the most similar object.

    Sources of another encoder, without objects, or that are the target itself do not take part.
    """
    known = {
        source.dataset_hash: _capped(source)
        for source in sources
        if source.encoder == target.encoder
        and source.dataset_hash != target.dataset_hash
        and len(source.object_vectors_MK)
    }
    if not known or not len(target.object_vectors_MK):
        return ()
    from recommender.profile import SourceIndex  # here: it loads faiss

    index = SourceIndex.build([known[key] for key in sorted(known)])
    hits_M = index.search_objects(target.object_vectors_MK[:NEAREST_OBJECTS], 1)
    return tuple(known[hits[0].dataset_hash].dataset_name for hits in hits_M if hits)


def _capped(source: Profile) -> Profile:
    return replace(
        source,
        object_vectors_MK=source.object_vectors_MK[:OBJECTS_PER_SOURCE],
        object_classes_M=source.object_classes_M[:OBJECTS_PER_SOURCE],
        object_images=source.object_images[:OBJECTS_PER_SOURCE],
    )
