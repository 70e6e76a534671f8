"""Ridge on frozen features: the closed form agrees with leaving samples out one by one, and finds what is linear."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.evidence.estimators import ridge_accuracy
from recommender.evidence.table import estimators_for


def left_out_one_by_one(features_ND: np.ndarray, labels_N: np.ndarray, strength: float) -> float:
    """The same by brute force: centred on all samples, as the closed form is."""
    centred = features_ND - features_ND.mean(axis=0)
    targets = np.eye(labels_N.max() + 1)[labels_N]
    scale = np.linalg.eigvalsh(centred @ centred.T).clip(0).mean()
    right = 0
    for out in range(len(labels_N)):
        kept = np.arange(len(labels_N)) != out
        design = np.hstack([centred[kept], np.ones((kept.sum(), 1))])
        penalty = strength * scale * np.eye(design.shape[1])
        penalty[-1, -1] = 0.0
        weights = np.linalg.solve(design.T @ design + penalty, design.T @ targets[kept])
        right += int((np.append(centred[out], 1.0) @ weights).argmax() == labels_N[out])
    return right / len(labels_N)


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_it_is_leave_one_out_in_closed_form(strength: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(45) % 3
    features = rng.normal(size=(45, 8)) + 0.8 * np.eye(8)[labels]
    found = ridge_accuracy(features, labels, strengths=(strength,))
    assert found == pytest.approx(left_out_one_by_one(features, labels, strength), abs=1e-9)


def test_it_finds_what_is_linear_and_nothing_in_noise() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    noise = rng.normal(size=(60, 20))
    apart = noise + 3.0 * labels[:, None]
    assert ridge_accuracy(apart, labels) == 1.0
    assert (ridge_accuracy(noise, labels) or 0.0) < 0.8
    assert ridge_accuracy(noise, np.zeros(60, dtype=np.int64)) is None
    assert ridge_accuracy(np.ones((60, 20)), labels) is None


def test_it_is_measured_on_whole_images_alone() -> None:
    names = [{row.name for row in estimators_for(task)} for task in ("detect", "segment", "classify")]
    assert names[0] == names[1] >= {"zero_shot_map"}
    assert names[2] - names[0] == {"linear_probe", "zero_shot"}
