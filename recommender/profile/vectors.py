"""Exact inner-product search over some thousand vectors with faiss, kept in half precision.

The only module that imports faiss. Half precision and not eight bits: those lose 4 to 7 % of the top 10, whatever is
searched. Exact and not inverted lists: 50,000 data sets take 30 ms, and nothing has to be trained or rebuilt.

Shapes: N vectors, D dimensions, M queries, k hits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from recommender.records import FloatArray, IntArray

SIMD_NUMBERS = 16  # stored vectors of another multiple are compared number by number, several times slower

# One thread: a question searches a few megabytes, and threads that wait by spinning cost more than they give.
faiss.omp_set_num_threads(1)


class VectorIndex:
    """Vectors numbered from 0 in the order they came. Never changes: safe to search from many threads."""

    def __init__(self, index: Any) -> None:
        self._index = index  # Any: the stubs of faiss know neither the fields nor the keywords used here

    @classmethod
    def build(cls, vectors_ND: FloatArray) -> VectorIndex:
        """Index these vectors."""
        dimensions = -(-max(vectors_ND.shape[1], 1) // SIMD_NUMBERS) * SIMD_NUMBERS
        index: Any = faiss.IndexScalarQuantizer(
            dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        index.add(_fitting(vectors_ND, dimensions))
        return cls(index)

    def search(
        self, queries_MD: FloatArray, k: int, *, only: IntArray | None = None
    ) -> tuple[FloatArray, IntArray]:
        """Scores and numbers (M, k) of the best, best first, among `only` when given; −1 where there are fewer."""
        parameters: Any = None
        if only is not None:
            selector = faiss.IDSelectorBatch(np.ascontiguousarray(only, dtype=np.int64))
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        queries = _fitting(queries_MD, self._index.d)
        scores_Mk, numbers_Mk = self._index.search(queries, min(k, max(1, len(self))), params=parameters)
        return scores_Mk, numbers_Mk

    def rows(self) -> FloatArray:
        """The vectors as they are kept, padded with zeros: (N, D)."""
        return np.asarray(self._index.reconstruct_n(0, len(self)), np.float32).reshape(
            len(self), self._index.d
        )

    def to_bytes(self) -> memoryview:
        """The bytes that `from_bytes` reads."""
        return faiss.serialize_index(self._index).data

    @classmethod
    def from_bytes(cls, content: memoryview) -> VectorIndex:
        """Read an index of ours. The bytes must be checked before: faiss believes whatever it is given."""
        return cls(faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8)))

    def __len__(self) -> int:
        return int(self._index.ntotal)


def stacked(parts: Iterable[tuple[FloatArray, IntArray]], k: int) -> tuple[FloatArray, IntArray]:
    """The best k of each row over several searches' scores and numbers, best first; −1 where there are fewer."""
    scores, numbers = (list(each) for each in zip(*parts, strict=True))
    scores_MK, numbers_MK = np.concatenate(scores, axis=1), np.concatenate(numbers, axis=1)
    scores_MK = np.where(numbers_MK >= 0, scores_MK, -np.inf)
    order_Mk = np.argsort(-scores_MK, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores_MK, order_Mk, axis=1), np.take_along_axis(numbers_MK, order_Mk, axis=1)


def _fitting(rows_ND: FloatArray, dimensions: int) -> NDArray[np.float32]:
    """Contiguous single-precision rows of that many numbers, zeros added, which no inner product notices."""
    missing = dimensions - rows_ND.shape[1]
    padded = np.pad(rows_ND, ((0, 0), (0, missing))) if missing else rows_ND
    return np.ascontiguousarray(padded, dtype=np.float32)
