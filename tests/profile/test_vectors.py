"""Approximate search past the limit of exact search, at a size that a test can afford."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recommender.profile import vectors
from recommender.profile.index import unit_rows
from recommender.profile.vectors import VectorIndex
from recommender.records import FloatArray

COUNT, DIMENSIONS = 6000, 24


@pytest.fixture(scope="module")
def clustered() -> FloatArray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, DIMENSIONS))
    rows = centres[rng.integers(0, 60, COUNT)] + 0.4 * rng.normal(size=(COUNT, DIMENSIONS))
    return unit_rows(rows.astype(np.float32))


@pytest.fixture(scope="module")
def approximate(clustered: FloatArray) -> VectorIndex:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "EXACT_LIMIT", 1000)
        return build(clustered)


def build(rows: FloatArray) -> VectorIndex:
    def chunks() -> Iterator[FloatArray]:
        yield from np.array_split(rows, 7)

    return VectorIndex.build(chunks, count=len(rows), dimensions=DIMENSIONS)


def recall_at_10(
    index: VectorIndex, rows: FloatArray, queries: FloatArray, only: np.ndarray | None = None
) -> float:
    scores = queries @ rows.T
    if only is not None:
        scores[:, np.setdiff1d(np.arange(len(rows)), only)] = -np.inf
    truth = np.argsort(-scores, axis=1)[:, :10]
    _, found = index.search(queries, 10, only=only)
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)]))


def test_small_indexes_are_exact(clustered: FloatArray) -> None:
    index = build(clustered[:900])
    assert index.exact
    assert recall_at_10(index, clustered[:900], clustered[-50:]) == 1.0


def test_large_indexes_find_nearly_all(clustered: FloatArray, approximate: VectorIndex) -> None:
    assert not approximate.exact
    assert len(approximate) == COUNT
    assert recall_at_10(approximate, clustered, clustered[::97]) >= 0.95


def test_a_restricted_search_finds_its_few_wherever_they_lie(
    clustered: FloatArray, approximate: VectorIndex
) -> None:
    few = np.arange(0, COUNT, 300)
    assert recall_at_10(approximate, clustered, clustered[5::501], only=few) >= 0.95


def test_building_twice_and_reading_back_give_the_same_index(
    clustered: FloatArray, approximate: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "EXACT_LIMIT", 1000)
    content = approximate.to_bytes()
    assert bytes(build(clustered).to_bytes()) == bytes(content)
    _, expected = approximate.search(clustered[:20], 5)
    _, found = VectorIndex.from_bytes(content).search(clustered[:20], 5)
    np.testing.assert_array_equal(found, expected)


def test_asking_for_more_than_there_is_marks_the_gaps(clustered: FloatArray) -> None:
    scores, numbers = build(clustered[:3]).search(clustered[:2], 8)
    assert scores.shape == numbers.shape == (2, 3)
    _, numbers = build(clustered[:3]).search(clustered[:2], 3, only=np.array([1]))
    assert numbers.tolist() == [[1, -1, -1], [1, -1, -1]]
