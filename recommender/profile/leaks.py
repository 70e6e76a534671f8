"""Images of a target that a checkpoint's source holds too, which would flatter its score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.records import Profile

MAX_EXAMPLES = 5
MAX_PAIRS = 50_000_000  # of val and train images compared; a second of work
SOURCE_IMAGES = 1024  # compared at once
MAX_SOURCE_PAIRS = 4 * MAX_PAIRS  # of target and source: with 100,000 images in each, 2,000 of the target


@dataclass(frozen=True, kw_only=True)
class SeenImages:
    """Target images that have a near duplicate in the source."""

    share: float  # of the target's images that have enough structure to be recognised; 0 when none has
    indices: tuple[int, ...]  # of those found among the compared, in the target data set's order

    def examples(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the first few, given the names of the target's images in order."""
        return tuple(names[index] for index in self.indices[:MAX_EXAMPLES])


def images_seen(target: Profile, source: Profile) -> SeenImages:
    """Find the target's images in the source by their hashes; blank and unreadable images match nothing.

    Where the pairs are very many an even sample of the target's images is compared.
    """
    from recommender.datasets.duplicates import MIN_BITS, near_duplicates

    step = max(1, -(-len(target.image_hashes_NB) * len(source.image_hashes_NB) // MAX_SOURCE_PAIRS))
    hashes_NB = np.ascontiguousarray(target.image_hashes_NB[::step])
    set_N = np.bitwise_count(hashes_NB).sum(axis=1).astype(np.int64)
    structure_N = np.minimum(set_N, hashes_NB.shape[1] * 8 - set_N)
    # A plain picture may match by what the source's copy has more of; it counts neither above nor below the line.
    recognisable_R = np.flatnonzero(structure_N >= MIN_BITS)
    if not len(recognisable_R) or not len(source.image_hashes_NB):
        return SeenImages(share=0.0, indices=())
    left_L = recognisable_R
    # What was found is not looked for again: the frames of a film match all others.
    for start in range(0, len(source.image_hashes_NB), SOURCE_IMAGES):
        some_MB = np.ascontiguousarray(source.image_hashes_NB[start : start + SOURCE_IMAGES])
        left_L = np.delete(left_L, np.unique(near_duplicates(hashes_NB[left_L], some_MB)[:, 0]))
    found = np.setdiff1d(recognisable_R, left_L)
    return SeenImages(share=len(found) / len(recognisable_R), indices=tuple((found * step).tolist()))


def val_images_in_train(profile: Profile) -> int:
    """The number of val images that have a near duplicate, or a copy, in train; by hash, blank images match nothing.

    Where the pairs are very many an even sample of val is compared and the count scaled up.
    """
    from recommender.datasets.duplicates import near_duplicates

    counts = profile.num_images
    if len(profile.image_hashes_NB) != counts.test + counts.train + counts.val:
        return 0  # hashes of an older form, which do not tell the splits
    # Images are in the data set's order: by split in alphabetical order, then by name.
    _, train_NB, val_NB = np.split(profile.image_hashes_NB, [counts.test, counts.test + counts.train])
    step = max(1, -(-len(val_NB) * len(train_NB) // MAX_PAIRS))
    found = near_duplicates(np.ascontiguousarray(val_NB[::step]), train_NB, nearest=1)
    return min(len(val_NB), step * len(found))
