"""The estimators against closed forms, brute force, the authors' values, and what must not change them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import optimize, stats

from recommender.evidence.estimators import (
    h_score,
    knn_accuracy,
    logme,
    logme_classes,
)

CASES = ("easy", "hard", "wide", "tall", "binary", "relu")
BY_CLASS = (knn_accuracy, logme_classes, h_score)


def _clusters(
    spread: float = 1.0, *, count: int = 60, dimensions: int = 5, classes: int = 3, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = rng.normal(size=(classes, dimensions)) * 2
    return centres[labels] + spread * rng.normal(size=(count, dimensions)), labels


# ── the authors' values ──────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def reference() -> dict[str, dict[str, Any]]:
    """Per case the authors' values, and the inputs that they were computed from.

    SFDA's published code (TencentARC/SFDA, `metrics.py`) mixes each sample with the means of the other classes in
    place. LogME and H-score saw the features before, k-NN the mixture, which alone was saved: the features were
    recovered from it, by a damped fixed point on the authors' formulas, until mixing them again gave it to 1e-13.
    """
    folder = Path(__file__).parent / "reference"
    values = {case["name"]: case for case in json.loads((folder / "estimators.json").read_text())["cases"]}
    with np.load(folder / "estimators.npz", allow_pickle=False) as arrays:
        for name, case in values.items():
            case |= {part: arrays[f"{name}_{part}"] for part in ("features", "mixed", "labels", "boxes")}
    return values


@pytest.mark.parametrize("name", CASES)
def test_the_authors_values_are_met(reference: dict[str, dict[str, Any]], name: str) -> None:
    case = reference[name]
    features, labels = case["features"], case["labels"]
    assert logme_classes(features, labels) == pytest.approx(case["logme_label"], rel=1e-9)
    assert logme(features, case["boxes"]) == pytest.approx(case["logme_boxes"], rel=1e-9)
    assert h_score(features, labels) == pytest.approx(case["h_score_ledoit_wolf"], rel=1e-9, abs=1e-12)
    assert knn_accuracy(case["mixed"], labels, k=1) == pytest.approx(case["knn1_accuracy"], rel=1e-12)
    assert knn_accuracy(case["mixed"], labels, k=5) == pytest.approx(case["knn5_accuracy"], rel=1e-12)
    if name != "wide":  # whose raw score is saturated at classes - 1 whatever the features
        assert _raw_h_score(features, labels) == pytest.approx(case["h_score"], rel=1e-9)
        assert _raw_h_score(case["mixed"], labels) != pytest.approx(case["h_score"], rel=0.05)


def _raw_h_score(features: NDArray[Any], labels: NDArray[Any]) -> float:
    """The unshrunk score; no estimator of ours, but the reference has it."""
    means = np.stack([features[labels == c].mean(axis=0) for c in np.unique(labels)])[labels]
    inverse = np.linalg.pinv(np.cov(features, rowvar=False))
    return float(np.trace(inverse @ np.cov(means, rowvar=False)))


# ── definitions and closed forms ─────────────────────────────────────────────


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_knn_is_what_brute_force_finds(k: int, seed: int) -> None:
    features, labels = _clusters(3.0, seed=seed)
    right = 0
    for i in range(len(features)):
        order = sorted(
            (float(np.linalg.norm(features[i] - features[j])), j) for j in range(len(features)) if j != i
        )
        nearest = [int(labels[j]) for _, j in order[:k]]
        best = max(nearest.count(c) for c in nearest)
        right += next(c for c in nearest if nearest.count(c) == best) == labels[i]
    assert knn_accuracy(features, labels, k=k) == pytest.approx(right / len(features))


def test_knn_does_not_ask_samples_of_the_same_group() -> None:
    features = np.array([[0.0], [0.1], [5.0], [5.1]])  # pairs lie together
    labels = np.array([0, 0, 1, 1])
    assert knn_accuracy(features, labels, k=1) == 1.0
    assert knn_accuracy(features, labels, k=1, groups_N=np.array([0, 0, 1, 1])) == 0.0
    assert knn_accuracy(features, labels, k=1, groups_N=np.zeros(4)) is None


def test_logme_is_the_maximum_of_the_marginal_likelihood() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 6))
    target = features @ rng.normal(size=6) + 0.7 * rng.normal(size=80)

    def negative_evidence(logs: NDArray[Any]) -> float:
        alpha, beta = np.exp(logs)
        covariance = np.eye(80) / beta + features @ features.T / alpha
        return -float(stats.multivariate_normal(np.zeros(80), covariance).logpdf(target)) / 80

    best = -float(optimize.minimize(negative_evidence, np.zeros(2), method="Nelder-Mead").fun)
    assert logme(features, target) == pytest.approx(best, rel=1e-3)


def test_the_h_score_of_far_classes_is_their_number_less_one() -> None:
    features, labels = _clusters(1e-4, count=3000, dimensions=4, classes=3)
    assert h_score(features, labels) == pytest.approx(2.0, rel=0.05)
    noise = np.random.default_rng(0).normal(size=(3000, 4))
    assert h_score(noise, labels) == pytest.approx(0.0, abs=0.02)


# ── what must not change a score ─────────────────────────────────────────────


@pytest.mark.parametrize("score", BY_CLASS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_order_and_names_do_not_matter(score: Any, seed: int) -> None:
    features, labels = _clusters(1.5, seed=seed)
    rng = np.random.default_rng(seed)
    order, turned = rng.permutation(len(features)), np.linalg.qr(rng.normal(size=(5, 5)))[0]
    names = np.array([70, -3, 12])[labels]
    plain = score(features, labels)
    assert score(features[order], labels[order]) == pytest.approx(plain, rel=1e-9)
    assert score(features, names) == pytest.approx(plain, rel=1e-9)
    assert score(features @ turned, labels) == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("scale", [0.2, 5.0])  # far beyond, the authors' guard of 1e-5 shows in LogME
def test_scale_does_not_matter_where_it_should_not(scale: float) -> None:
    features, labels = _clusters(1.5)
    for score in (knn_accuracy, h_score):
        assert score(scale * features, labels) == pytest.approx(score(features, labels), rel=1e-6)
    assert logme_classes(scale * features, labels) == pytest.approx(logme_classes(features, labels), rel=1e-3)


@pytest.mark.parametrize("score", BY_CLASS)
def test_better_separated_classes_score_higher(score: Any) -> None:
    scores = [score(*_clusters(spread)) for spread in (0.3, 1.5, 6.0)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


def test_boxes_that_the_features_tell_score_higher() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 6))
    told = features @ rng.normal(size=(6, 4))
    noisy = [told + noise * rng.normal(size=told.shape) for noise in (0.1, 1.0, 10.0)]
    good, fair, poor = (logme(features, boxes) for boxes in noisy)
    assert good is not None
    assert fair is not None
    assert poor is not None
    assert good > fair > poor


# ── inputs that say nothing ──────────────────────────────────────────────────


@pytest.mark.parametrize("score", BY_CLASS)
@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, dtype=int)),
        (np.ones((1, 3)), np.zeros(1, dtype=int)),
        (np.random.default_rng(0).normal(size=(9, 3)), np.zeros(9, dtype=int)),
        (np.full((4, 3), np.nan), np.array([0, 0, 1, 1])),
        (np.array([[1.0], [np.inf], [2.0]]), np.array([0, 1, 1])),
        (np.zeros((4, 0)), np.array([0, 0, 1, 1])),
        (np.ones((4, 2)), np.array([0, 1])),
    ],
)
def test_where_nothing_can_be_said_nothing_is(
    score: Any, features: NDArray[Any], labels: NDArray[Any]
) -> None:
    assert score(features, labels) is None


def test_constant_features_separate_nothing() -> None:
    features, labels = np.ones((6, 2)), np.array([0, 1, 0, 1, 0, 1])
    assert h_score(features, labels) is None
    assert logme(np.zeros((6, 2)), labels) is None
    assert logme(features, np.full(6, np.nan)) is None


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(2, 12), dimensions=st.integers(1, 8))
def test_any_finite_input_gives_a_finite_number_or_none(
    data: st.DataObject, count: int, dimensions: int
) -> None:
    features = data.draw(hnp.arrays(np.float64, (count, dimensions), elements=st.floats(-1e6, 1e6)))
    labels = data.draw(hnp.arrays(np.int64, count, elements=st.integers(0, 3)))
    for score in (*BY_CLASS, logme):
        value = score(features, labels)
        assert value is None or np.isfinite(value)


@pytest.mark.slow
def test_five_thousand_objects_take_bounded_time_and_memory() -> None:
    features, labels = _clusters(4.0, count=5000, dimensions=64, classes=20)
    started = time.process_time()
    assert all(score(features, labels) is not None for score in BY_CLASS)
    assert logme(features, features[:, :4]) is not None
    assert time.process_time() - started < 20
