"""Inner-product search over many vectors with faiss: exact while that is fast, else by inverted lists.

The only module that imports faiss. Inverted lists and not a graph: benchmarks/results/index_speed.json has the
figures of both. Half precision and not eight bits: those lose 4 to 7 % of the top 10, whatever is probed.

Shapes: N vectors, D dimensions, M queries, k hits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from recommender.records import FloatArray, IntArray

EXACT_LIMIT = 20_000  # vectors; an exact search of so many takes a few milliseconds
LISTS_PER_ROOT = 4  # lists = this times the square root of the number of vectors
TRAINING_PER_LIST = 40
PROBED_SHARE = 1 / 32  # of the lists, per query
MIN_PROBED = 32
SIMD_NUMBERS = 16  # stored vectors of another multiple are compared number by number, several times slower
SEED = 0

Chunks = Callable[[], Iterator[FloatArray]]  # the vectors in order, piece by piece; may be asked for twice


class VectorIndex:
    """Vectors numbered from 0 in the order they came. Never changes: safe to search from many threads."""

    def __init__(self, index: Any) -> None:
        self._index = index  # Any: the stubs of faiss know neither the fields nor the keywords used here

    @classmethod
    def build(cls, chunks: Chunks, *, count: int, dimensions: int) -> VectorIndex:
        """Index `count` vectors; past EXACT_LIMIT they are kept in half precision."""
        if count <= EXACT_LIMIT:
            index: Any = faiss.IndexFlatIP(dimensions)
        else:
            lists = int(LISTS_PER_ROOT * count**0.5)
            dimensions = -(-dimensions // SIMD_NUMBERS) * SIMD_NUMBERS
            index = faiss.IndexIVFScalarQuantizer(
                faiss.IndexFlatIP(dimensions),
                dimensions,
                lists,
                faiss.ScalarQuantizer.QT_fp16,
                faiss.METRIC_INNER_PRODUCT,
            )
            index.cp.seed, index.cp.niter, index.cp.spherical = SEED, 10, True
            index.cp.max_points_per_centroid = TRAINING_PER_LIST
            index.nprobe = max(MIN_PROBED, round(lists * PROBED_SHARE))
            sample_ND = _training_sample(chunks, count=count, wanted=lists * TRAINING_PER_LIST)
            index.train(_fitting(sample_ND, dimensions))
        for chunk_ND in chunks():
            index.add(_fitting(chunk_ND, dimensions))
        return cls(index)

    def search(
        self, queries_MD: FloatArray, k: int, *, only: IntArray | None = None
    ) -> tuple[FloatArray, IntArray]:
        """Scores and numbers (M, k) of the best, best first, among `only` when given; −1 where there are fewer."""
        parameters: Any = None
        if only is not None:
            selector = faiss.IDSelectorBatch(np.ascontiguousarray(only, dtype=np.int64))
            if isinstance(self._index, faiss.IndexIVF):
                # A small choice may lie in any list: probe them all.
                share = max(len(only), 1) / max(self._index.ntotal, 1)
                probed = min(self._index.nlist, int(self._index.nprobe / share))
                parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probed)  # type: ignore[call-arg]
            else:
                parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        queries = _fitting(queries_MD, self._index.d)
        scores_Mk, numbers_Mk = self._index.search(queries, min(k, max(1, len(self))), params=parameters)
        return scores_Mk, numbers_Mk

    def to_bytes(self) -> memoryview:
        """What `from_bytes` reads."""
        return faiss.serialize_index(self._index).data

    @classmethod
    def from_bytes(cls, content: memoryview) -> VectorIndex:
        """Read an index of ours. The bytes must be checked before: faiss believes whatever it is given."""
        return cls(faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8)))

    @property
    def exact(self) -> bool:
        """Whether every vector is compared."""
        return isinstance(self._index, faiss.IndexFlat)

    def __len__(self) -> int:
        return int(self._index.ntotal)


def _fitting(rows_ND: FloatArray, dimensions: int) -> NDArray[np.float32]:
    """Contiguous single-precision rows of that many numbers, zeros added, which no inner product notices."""
    missing = dimensions - rows_ND.shape[1]
    padded = np.pad(rows_ND, ((0, 0), (0, missing))) if missing else rows_ND
    return np.ascontiguousarray(padded, dtype=np.float32)


def _training_sample(chunks: Chunks, *, count: int, wanted: int) -> NDArray[np.float32]:
    """Evenly drawn from all chunks, so that an order by kind does no harm."""
    rng = np.random.default_rng(SEED)
    picked = []
    for chunk_ND in chunks():
        share = min(len(chunk_ND), round(wanted * len(chunk_ND) / count) + 1)
        picked.append(chunk_ND[np.sort(rng.permutation(len(chunk_ND))[:share])])
    return np.concatenate(picked)
