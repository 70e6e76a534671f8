"""Search over data sets and over their sampled objects: a cache of the store, rebuilt whenever in doubt.

Shapes: D dimensions of a data set's vector, K of an object's, M query objects, k hits.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommender.errors import StorageError
from recommender.home import subfolder
from recommender.profile.embedding import ENCODER, has_objects
from recommender.profile.known import builtin_profiles, known_sources
from recommender.profile.sealed_file import read_sealed, write_sealed
from recommender.profile.vectors import VectorIndex
from recommender.records import FloatArray, IntArray, Profile
from recommender.store import Store

SCHEMA = 1
MAX_OBJECTS = 2_000_000  # in the whole index; with very many data sets each gives fewer
CHUNK = 4096
NO_OBJECTS_PENALTY = 0.25  # a source without boxes counts as a stranger's objects would

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SourceHit:
    """A data set found; `similarity` is `compare(...).whole` but for rounding, `compare` has the exact one."""

    dataset_hash: str
    similarity: float


@dataclass(frozen=True, kw_only=True)
class ObjectHit:
    """An object found: row `row` of the profile's object vectors; cosine in the probe's component space."""

    dataset_hash: str
    row: int
    cosine: float


class SourceIndex:
    """Immutable and safe to share between threads: to update it, build another and replace the reference."""

    def __init__(
        self,
        *,
        hashes: Sequence[str],
        sets: VectorIndex,
        objects: VectorIndex,
        owners_O2: IntArray,
        fingerprint: str,
    ) -> None:
        self.hashes = tuple(hashes)
        self.fingerprint = fingerprint
        self._numbers = {dataset_hash: number for number, dataset_hash in enumerate(self.hashes)}
        self._sets, self._objects = sets, objects
        self._owners_O2 = owners_O2  # number of the data set, row in its profile

    @classmethod
    def build(cls, profiles: Sequence[Profile], *, fingerprint: str = "") -> SourceIndex:
        """Index profiles of one encoder; their order does not matter to a search."""
        per_set = MAX_OBJECTS // max(1, len(profiles))
        owners = [
            (number, row)
            for number, profile in enumerate(profiles)
            for row in range(min(per_set, len(profile.object_vectors_MK)))
        ]

        def sets() -> Iterator[FloatArray]:
            for start in range(0, len(profiles), CHUNK):
                yield np.stack([_stored_vector(profile) for profile in profiles[start : start + CHUNK]])

        def objects() -> Iterator[FloatArray]:
            for profile in profiles:
                if len(profile.object_vectors_MK):
                    yield unit_rows(profile.object_vectors_MK[:per_set])

        set_size = len(profiles[0].embedding_D) + 2 if profiles else 1
        object_size = profiles[0].object_vectors_MK.shape[1] if profiles else 1
        return cls(
            hashes=[profile.dataset_hash for profile in profiles],
            sets=VectorIndex.build(sets, count=len(profiles), dimensions=set_size),
            objects=VectorIndex.build(objects, count=len(owners), dimensions=object_size),
            owners_O2=np.array(owners, dtype=np.int64).reshape(-1, 2),
            fingerprint=fingerprint,
        )

    def search(
        self, profile: Profile, k: int, *, among: Collection[str] | None = None, exclude: Collection[str] = ()
    ) -> tuple[SourceHit, ...]:
        """The `k` most similar data sets, best first; `among` and `exclude` are content hashes."""
        if not self.hashes:
            return ()
        query_D, offset, scale = _query_vector(profile)
        only = self._numbers_of(among, exclude)
        scores_1k, numbers_1k = self._sets.search(query_D[None], k, only=only)
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
        if not len(self._objects) or not len(vectors_MK):
            return ((),) * len(vectors_MK)
        only = self._numbers_of(among, exclude)
        rows = None if only is None else np.flatnonzero(np.isin(self._owners_O2[:, 0], only))
        scores_Mk, numbers_Mk = self._objects.search(unit_rows(vectors_MK), k, only=rows)
        return tuple(
            tuple(
                ObjectHit(
                    dataset_hash=self.hashes[self._owners_O2[number, 0]],
                    row=int(self._owners_O2[number, 1]),
                    cosine=float(score),
                )
                for score, number in zip(scores, numbers, strict=True)
                if number >= 0
            )
            for scores, numbers in zip(scores_Mk, numbers_Mk, strict=True)
        )

    def write(self, path: Path) -> None:
        """Replace the cache file, or raise StorageError and leave the old one."""
        header = {"schema": SCHEMA, "fingerprint": self.fingerprint, "hashes": self.hashes}
        owners = self._owners_O2.tobytes()
        write_sealed(path, header, [self._sets.to_bytes(), self._objects.to_bytes(), owners])

    @classmethod
    def read(cls, path: Path) -> SourceIndex:
        """Raises FileNotFoundError, or StorageError for a file that is damaged or of another version."""
        header, parts = read_sealed(path)
        if header.get("schema") != SCHEMA:
            raise StorageError(
                f"The index {path} has schema {header.get('schema')}, this version reads {SCHEMA}."
            )
        return cls(
            hashes=header["hashes"],
            sets=VectorIndex.from_bytes(parts[0]),
            objects=VectorIndex.from_bytes(parts[1]),
            owners_O2=np.frombuffer(parts[2], dtype=np.int64).reshape(-1, 2),
            fingerprint=header["fingerprint"],
        )

    def _numbers_of(
        self, among: Collection[str] | None, exclude: Collection[str]
    ) -> NDArray[np.int64] | None:
        if among is None and not any(dataset_hash in self._numbers for dataset_hash in exclude):
            return None
        chosen = self.hashes if among is None else among
        left_out = set(exclude)
        return np.array(
            [self._numbers[h] for h in chosen if h in self._numbers and h not in left_out], np.int64
        )

    def __len__(self) -> int:
        return len(self.hashes)


def open_index(store: Store, *, folder: Path | None = None) -> SourceIndex:
    """The index over every known profile: from its file when that is sound and current, else built anew.

    A damaged or stale file is reported in the log and replaced. A file that cannot be written is only
    logged, since the index in memory is right.
    """
    # The generation is read first: a profile added meanwhile makes the file stale, never wrong.
    fingerprint = _fingerprint(store)
    file = (folder or subfolder("index")) / f"{ENCODER}.index"
    try:
        index = SourceIndex.read(file)
        if index.fingerprint == fingerprint:
            return index
        logger.info("the index %s is older than the store; rebuilding it", file)
    except FileNotFoundError:
        pass
    except StorageError as error:
        logger.warning("%s Rebuilding it from the store.", error)
    index = SourceIndex.build(known_sources(store), fingerprint=fingerprint)
    try:
        index.write(file)
    except StorageError as error:
        logger.warning("%s The index was not kept.", error)
    return index


def unit_rows(vectors_MK: FloatArray) -> FloatArray:
    """Rows scaled to length one; zero rows stay zero."""
    lengths_M1 = np.linalg.norm(vectors_MK, axis=1, keepdims=True)
    scaled: FloatArray = (vectors_MK / np.maximum(lengths_M1, 1e-12)).astype(np.float32)
    return scaled


def _fingerprint(store: Store) -> str:
    parts = [SCHEMA, ENCODER, store.profiles.generation(), sorted(builtin_profiles())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _blocks(profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared length of each block, noise taken off, and the embedding; blocks are scaled by sqrt(1/2)."""
    embedding_D = profile.embedding_D.astype(np.float64)
    halves = embedding_D.reshape(2, -1)
    return (halves**2).sum(axis=1) - np.array(profile.embedding_noise) / 2, embedding_D


def _stored_vector(profile: Profile) -> FloatArray:
    # Squared distance is |a|² + |b|² − 2ab: with −|b|²/2 as a further coordinate of b, and 1 of a, the inner
    # product orders by distance.
    lengths_2, embedding_D = _blocks(profile)
    object_offset = lengths_2[1] / 2 if has_objects(profile) else NO_OBJECTS_PENALTY
    return np.concatenate([embedding_D, [-lengths_2[0] / 2, -object_offset]]).astype(np.float32)


def _query_vector(profile: Profile) -> tuple[FloatArray, float, float]:
    """The query, and offset and scale such that a squared distance is scale · (offset − 2 · inner product)."""
    lengths_2, embedding_D = _blocks(profile)
    if has_objects(profile):
        return np.append(embedding_D, [1.0, 1.0]).astype(np.float32), float(lengths_2.sum()), 1.0
    return np.append(embedding_D, [1.0, 0.0]).astype(np.float32), float(lengths_2[0]), 2.0
