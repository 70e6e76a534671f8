"""One piece of the index: some data sets' vectors and sampled objects, and the file that holds it.

Shapes: S data sets, D dimensions of a data set's vector, O objects, K dimensions of an object's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommender.errors import StorageError
from recommender.profile.checksummed_file import read_checksummed, write_checksummed
from recommender.profile.embedding import has_objects, unit_rows
from recommender.profile.vectors import VectorIndex
from recommender.records import FloatArray, IntArray, Profile

SEGMENT_SETS = 1024  # data sets in a full segment: adding one rewrites at most so many
OBJECTS_PER_SET = 16
NO_OBJECTS_PENALTY = 0.25  # a source without boxes counts as a dissimilar one's objects would


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Some data sets, numbered from 0. Never changes."""

    hashes: tuple[str, ...]
    sets: VectorIndex
    objects: VectorIndex
    owners_O2: IntArray  # number of the data set, row in its profile

    @classmethod
    def build(cls, profiles: Sequence[Profile]) -> Segment:
        """A segment of these profiles, which are of one encoder."""
        samples = [unit_rows(profile.object_vectors_MK[:OBJECTS_PER_SET]) for profile in profiles]
        owners = [(number, row) for number, sample in enumerate(samples) for row in range(len(sample))]
        return cls(
            hashes=tuple(profile.dataset_hash for profile in profiles),
            sets=VectorIndex.build(np.stack([_stored_vector(profile) for profile in profiles])),
            objects=VectorIndex.build(np.concatenate(samples)),
            owners_O2=np.array(owners, dtype=np.int64).reshape(-1, 2),
        )

    def with_sets(self, other: Segment) -> Segment:
        """This one's data sets and the other's."""
        moved_O2 = other.owners_O2 + np.array([len(self.hashes), 0])
        return Segment(
            hashes=(*self.hashes, *other.hashes),
            sets=VectorIndex.build(np.concatenate([self.sets.rows(), other.sets.rows()])),
            objects=VectorIndex.build(np.concatenate([self.objects.rows(), other.objects.rows()])),
            owners_O2=np.concatenate([self.owners_O2, moved_O2]),
        )

    def without(self, hashes: Collection[str]) -> Segment:
        """The data sets that are not among these."""
        kept_S = np.array([one not in hashes for one in self.hashes], dtype=bool)
        kept_O = kept_S[self.owners_O2[:, 0]]
        numbers_S = np.cumsum(kept_S) - 1
        owners_O2 = self.owners_O2[kept_O]
        return Segment(
            hashes=tuple(one for one, kept in zip(self.hashes, kept_S, strict=True) if kept),
            sets=VectorIndex.build(self.sets.rows()[kept_S]),
            objects=VectorIndex.build(self.objects.rows()[kept_O]),
            owners_O2=np.stack([numbers_S[owners_O2[:, 0]], owners_O2[:, 1]], axis=1),
        )

    def write(self, path: Path) -> None:
        """Write the file whole or, with a StorageError, not at all."""
        write_checksummed(
            path,
            {"hashes": self.hashes},
            [self.sets.to_bytes(), self.objects.to_bytes(), self.owners_O2.astype(np.int64).tobytes()],
        )

    @classmethod
    def read(cls, path: Path) -> Segment:
        """Raises FileNotFoundError where there is none, StorageError for a file that is damaged or not ours."""
        header, parts = read_checksummed(path)
        if "hashes" not in header or len(parts) != 3:
            raise StorageError(f"{path} is no segment of an index.")
        return cls(
            hashes=tuple(header["hashes"]),
            sets=VectorIndex.from_bytes(parts[0]),
            objects=VectorIndex.from_bytes(parts[1]),
            # A copy, or the whole file would stay in memory for these few numbers of it.
            owners_O2=np.frombuffer(parts[2], dtype=np.int64).reshape(-1, 2).copy(),
        )


def block_lengths(profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared length of each block, noise taken off, and the embedding; blocks are scaled by sqrt(1/2)."""
    embedding_D = profile.embedding_D.astype(np.float64)
    halves = embedding_D.reshape(2, -1)
    return (halves**2).sum(axis=1) - np.array(profile.embedding_noise) / 2, embedding_D


def _stored_vector(profile: Profile) -> FloatArray:
    # Squared distance is |a|² + |b|² − 2ab: with −|b|²/2 as a further coordinate of b, and 1 of a, the inner
    # product orders by distance. One such coordinate a block, so that a query may look at either or both.
    lengths_2, embedding_D = block_lengths(profile)
    object_offset = lengths_2[1] / 2 if has_objects(profile) else NO_OBJECTS_PENALTY
    return np.concatenate([embedding_D, [-lengths_2[0] / 2, -object_offset]]).astype(np.float32)
