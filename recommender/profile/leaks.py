"""Images of a target that a checkpoint's source holds too, which would flatter its score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.records import Profile

MAX_EXAMPLES = 5
MAX_PAIRS = 50_000_000  # of val and train images compared; a second of work


@dataclass(frozen=True, kw_only=True)
class SeenImages:
    """Target images that have a near duplicate in the source."""

    share: float  # of the target's images that have enough structure to be recognised; 0 when none has
    indices: tuple[int, ...]  # of those found, in the target data set's order

    def examples(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the first few, given the names of the target's images in order."""
        return tuple(names[index] for index in self.indices[:MAX_EXAMPLES])


def images_seen(target: Profile, source: Profile) -> SeenImages:
    """Find the target's images in the source by their hashes; blank and unreadable images match nothing."""
    from recommender.datasets.duplicates import MIN_BITS, near_duplicates

    set_N = np.bitwise_count(target.image_hashes_NB).sum(axis=1).astype(np.int64)
    structure_N = np.minimum(set_N, target.image_hashes_NB.shape[1] * 8 - set_N)
    recognisable = int((structure_N >= MIN_BITS).sum())
    if not recognisable or not len(source.image_hashes_NB):
        return SeenImages(share=0.0, indices=())
    found_N = np.unique(near_duplicates(target.image_hashes_NB, source.image_hashes_NB)[:, 0])
    # A plain picture may match by what the source's copy has more of; it is not in the denominator.
    indices = tuple(int(index) for index in found_N if structure_N[index] >= MIN_BITS)
    return SeenImages(share=len(indices) / recognisable, indices=indices)


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
