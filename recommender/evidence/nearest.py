"""The sources of the objects most similar to the target's.

Shapes: M the target's sampled objects, K dimensions of an object vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recommender.profile.embedding import unit_rows
from recommender.records import Profile

NEAREST_OBJECTS = 24  # of the target, shown and stored
OBJECTS_PER_SOURCE = 256  # of each source, so that a larger profile has no more chances


def nearest_sources(target: Profile, sources: Sequence[Profile]) -> tuple[str, ...]:
    """For each of some target objects, the name of the source that holds the most similar object.

    Sources of another encoder, without objects, or that are the target itself do not take part. Empty where fewer than
    two do: that all objects are nearest to the only source says nothing.
    """
    known = {
        source.dataset_hash: source
        for source in sources
        if source.encoder == target.encoder
        and source.dataset_hash != target.dataset_hash
        and len(source.object_vectors_MK)
    }
    objects_MK = target.object_vectors_MK[:NEAREST_OBJECTS]
    if len(known) < 2 or not len(objects_MK):
        return ()
    ordered = [known[key] for key in sorted(known)]
    samples = [unit_rows(source.object_vectors_MK[:OBJECTS_PER_SOURCE]) for source in ordered]
    owners = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    nearest_M = (unit_rows(objects_MK) @ np.concatenate(samples).T).argmax(axis=1)
    return tuple(ordered[owners[number]].dataset_name for number in nearest_M)
