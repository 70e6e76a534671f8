"""Search over data sets and over their sampled objects: segments of vectors that never change, and what to ask of them.

Shapes: D dimensions of a data set's vector, K of an object's, M query objects, k hits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recommender.profile.embedding import has_objects, unit_rows
from recommender.profile.segments import SEGMENT_SETS, Segment, block_lengths
from recommender.profile.vectors import stacked
from recommender.records import FloatArray, IntArray, Profile

Block = Literal["whole", "image", "object"]


@dataclass(frozen=True, kw_only=True)
class SourceHit:
    """A data set found; `similarity` is `compare(...)`'s to three digits, `compare` has the exact one."""

    dataset_hash: str
    similarity: float


@dataclass(frozen=True, kw_only=True)
class ObjectHit:
    """An object found: row `row` of the profile's object vectors; cosine in the probe's component space."""

    dataset_hash: str
    row: int
    cosine: float


class SourceIndex:
    """Immutable and safe to share between threads: to update it, take another and replace the reference."""

    def __init__(self, segments: Sequence[Segment], *, generation: str = "") -> None:
        self.segments = tuple(segments)
        self.generation = generation  # of the store's profiles
        self.hashes = tuple(one for segment in segments for one in segment.hashes)

    @classmethod
    def build(cls, profiles: Sequence[Profile], *, generation: str = "") -> SourceIndex:
        """An index of these profiles, which are of one encoder; their order does not matter to a search."""
        starts = range(0, len(profiles), SEGMENT_SETS)
        segments = [Segment.build(profiles[start : start + SEGMENT_SETS]) for start in starts]
        return cls(segments, generation=generation)

    def search(
        self,
        profile: Profile,
        k: int,
        *,
        by: Block = "whole",
        among: Collection[str] | None = None,
        exclude: Collection[str] = (),
    ) -> tuple[SourceHit, ...]:
        """The `k` most similar data sets, best first; `among` and `exclude` are content hashes.

        `by` an object block that the profile lacks finds nothing.
        """
        if not self.hashes or (by == "object" and not has_objects(profile)):
            return ()
        query_D, offset, scale = _query_vector(profile, by)
        scores_1k, numbers_1k = self._search("sets", query_D[None], k, among, exclude)
        return tuple(
            SourceHit(
                dataset_hash=self.hashes[number],
                similarity=1.0 - max(0.0, scale * (offset - 2.0 * float(score))),
            )
            for score, number in zip(scores_1k[0], numbers_1k[0], strict=True)
            if number >= 0
        )

    def search_objects(
        self,
        vectors_MK: FloatArray,
        k: int,
        *,
        among: Collection[str] | None = None,
        exclude: Collection[str] = (),
    ) -> tuple[tuple[ObjectHit, ...], ...]:
        """For each object the `k` nearest indexed objects, best first."""
        if not len(vectors_MK) or not self.hashes:
            return ((),) * len(vectors_MK)
        owners_O2 = np.concatenate([segment.owners_O2 for segment in self.segments])
        counts = [len(segment.objects) for segment in self.segments]
        owners_O2[:, 0] += np.repeat(self._first_sets(), counts)
        scores_Mk, numbers_Mk = self._search("objects", unit_rows(vectors_MK), k, among, exclude)
        return tuple(
            tuple(
                ObjectHit(
                    dataset_hash=self.hashes[owners_O2[number, 0]],
                    row=int(owners_O2[number, 1]),
                    cosine=float(score),
                )
                for score, number in zip(scores, numbers, strict=True)
                if number >= 0
            )
            for scores, numbers in zip(scores_Mk, numbers_Mk, strict=True)
        )

    def _search(
        self,
        kind: Literal["sets", "objects"],
        queries_MD: FloatArray,
        k: int,
        among: Collection[str] | None,
        exclude: Collection[str],
    ) -> tuple[FloatArray, IntArray]:
        """Scores and numbers over all segments."""
        parts, first = [], 0
        for segment in self.segments:
            vectors = segment.sets if kind == "sets" else segment.objects
            only = _numbers_of(segment, among, exclude)
            if only is not None and kind == "objects":
                only = np.flatnonzero(np.isin(segment.owners_O2[:, 0], only))
            if len(vectors) and (only is None or len(only)):
                scores_Mk, numbers_Mk = vectors.search(queries_MD, k, only=only)
                parts.append((scores_Mk, np.where(numbers_Mk >= 0, numbers_Mk + first, -1)))
            first += len(vectors)
        if not parts:
            empty = (len(queries_MD), 0)
            return np.zeros(empty, np.float32), np.zeros(empty, np.int64)
        return stacked(parts, k)

    def _first_sets(self) -> NDArray[np.int64]:
        """Number of the first data set of each segment."""
        sizes = [len(segment.hashes) for segment in self.segments]
        return np.cumsum([0, *sizes])[:-1]

    def __len__(self) -> int:
        return len(self.hashes)


def _numbers_of(
    segment: Segment, among: Collection[str] | None, exclude: Collection[str]
) -> NDArray[np.int64] | None:
    if among is None and not exclude:
        return None
    chosen = [
        number
        for number, one in enumerate(segment.hashes)
        if (among is None or one in among) and one not in exclude
    ]
    return None if len(chosen) == len(segment.hashes) else np.array(chosen, np.int64)


def _query_vector(profile: Profile, by: Block) -> tuple[FloatArray, float, float]:
    """The query, and offset and scale such that a squared distance is scale · (offset − 2 · inner product)."""
    lengths_2, embedding_D = block_lengths(profile)
    half = len(embedding_D) // 2
    if by == "whole" and has_objects(profile):
        return np.append(embedding_D, [1.0, 1.0]).astype(np.float32), float(lengths_2.sum()), 1.0
    wanted = np.zeros(len(embedding_D) + 2)
    if by == "object":
        wanted[half : 2 * half], wanted[-1] = embedding_D[half:], 1.0
        return wanted.astype(np.float32), float(lengths_2[1]), 2.0
    wanted[:half], wanted[-2] = embedding_D[:half], 1.0
    return wanted.astype(np.float32), float(lengths_2[0]), 2.0
