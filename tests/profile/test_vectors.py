"""Exact search over half-precision vectors, and joining what several searches found."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.profile.embedding import unit_rows
from recommender.profile.vectors import VectorIndex, stacked
from recommender.records import FloatArray

COUNT, DIMENSIONS = 2000, 24


@pytest.fixture(scope="module")
def clustered() -> FloatArray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, DIMENSIONS))
    rows = centres[rng.integers(0, 60, COUNT)] + 0.4 * rng.normal(size=(COUNT, DIMENSIONS))
    return unit_rows(rows.astype(np.float32))


def recall_at_10(found: np.ndarray, rows: FloatArray, queries: FloatArray) -> float:
    truth = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)]))


def test_half_precision_loses_next_to_nothing(clustered: FloatArray) -> None:
    _, found = VectorIndex.build(clustered).search(clustered[::37], 10)
    assert recall_at_10(found, clustered, clustered[::37]) >= 0.99


def test_several_searches_join_to_one(clustered: FloatArray) -> None:
    queries, whole = clustered[:20], VectorIndex.build(clustered)
    halves = [VectorIndex.build(clustered[:700]).search(queries, 5)]
    scores, numbers = VectorIndex.build(clustered[700:]).search(queries, 5)
    joined = stacked([*halves, (scores, numbers + 700)], 5)
    expected = whole.search(queries, 5)
    np.testing.assert_array_equal(joined[1], expected[1])
    np.testing.assert_array_equal(joined[0], expected[0])


def test_reading_back_gives_the_same_index(clustered: FloatArray) -> None:
    index = VectorIndex.build(clustered)
    again = VectorIndex.from_bytes(index.to_bytes())
    np.testing.assert_array_equal(again.search(clustered[:20], 5)[1], index.search(clustered[:20], 5)[1])
    np.testing.assert_array_equal(again.rows(), index.rows())


def test_asking_for_more_than_there_is_marks_the_gaps(clustered: FloatArray) -> None:
    scores, numbers = VectorIndex.build(clustered[:3]).search(clustered[:2], 8)
    assert scores.shape == numbers.shape == (2, 3)
    _, numbers = VectorIndex.build(clustered[:3]).search(clustered[:2], 3, only=np.array([1]))
    assert numbers.tolist() == [[1, -1, -1], [1, -1, -1]]
