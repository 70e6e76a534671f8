"""Recovers the inputs that `reference/estimators.json` was computed from.

SFDA's published code (TencentARC/SFDA, `metrics.py`) mixes each sample with the means of the other classes *in
place*. Reference and inputs were made in one go, in the order of the JSON's fields: LogME, H-score and TransRate
saw the features before SFDA had run; what was saved, and what k-NN and PARC saw, is the mixture after it. The
mixture is undone here, by a damped fixed point on the authors' formulas; that every reference value is then met
to twelve digits, and that mixing again gives the saved array, proves both.

Shapes: N samples, D dimensions, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Array = NDArray[np.float64]
_STEPS = 3000
_DAMPINGS = (0.3, 0.1)  # the more classes, the sooner the fixed point runs away


def mixed(features_ND: Array, labels_N: NDArray[Any]) -> tuple[Array, Array, Array]:
    """The features after SFDA, each sample's share of itself (N, 1), and the other classes' means."""
    means_CD, probability_NC = _discriminant(features_ND, labels_N)
    softened_NC = np.exp(probability_NC)
    softened_NC /= softened_NC.sum(axis=1, keepdims=True)
    share_N1 = softened_NC[np.arange(len(labels_N)), labels_N][:, None]
    others_CD = (means_CD.sum(axis=0) - means_CD) / (len(means_CD) - 1)
    return share_N1 * features_ND + (1 - share_N1) * others_CD[labels_N], share_N1, others_CD


def unmixed(saved_ND: Array, labels_N: NDArray[Any]) -> Array:
    """The features from which SFDA made the saved ones."""
    for damping in _DAMPINGS:
        features = _first_guess(saved_ND, labels_N)
        for _ in range(_STEPS):
            again, share_N1, others_CD = mixed(features, labels_N)
            error = float(np.abs(again - saved_ND).max())
            if error < 1e-13:
                return features
            if not error < 1e3:
                break
            target = others_CD[labels_N] + (saved_ND - others_CD[labels_N]) / share_N1
            features = features + damping * (target - features)
    raise AssertionError("the mixture could not be undone")


def _first_guess(saved_ND: Array, labels_N: NDArray[Any]) -> Array:
    """The inverse if every sample had kept the same share of itself."""
    count = int(labels_N.max()) + 1
    share = 1 / count + 0.02
    weights_CC = share * np.eye(count) + (1 - share) * (1 - np.eye(count)) / (count - 1)
    means_CD = np.linalg.solve(weights_CC, _class_means(saved_ND, labels_N))
    others = ((means_CD.sum(axis=0) - means_CD) / (count - 1))[labels_N]
    guess: Array = others + (saved_ND - others) / share
    return guess


def _discriminant(features_ND: Array, labels_N: NDArray[Any]) -> tuple[Array, Array]:
    """SFDA's regularised linear discriminant: class means and class probabilities."""
    priors_C = np.bincount(labels_N) / len(labels_N)
    means_CD = _class_means(features_ND, labels_N)
    within = sum(prior * _covariance(features_ND[labels_N == c]) for c, prior in enumerate(priors_C))
    shrinkage = max(np.exp(-5 * _largest_eigenvalue(within)), 1e-10)
    between = _shrunk(_covariance(features_ND), shrinkage) - _shrunk(within, shrinkage)
    _, vectors = linalg.eigh(between, _shrunk(within, shrinkage))
    coefficients_CD = means_CD @ vectors @ vectors.T
    intercept_C = -0.5 * np.einsum("cd,cd->c", means_CD, coefficients_CD) + np.log(priors_C)
    scores_NC = features_ND @ coefficients_CD.T + intercept_C
    scores_NC = np.exp(scores_NC - scores_NC.max(axis=1, keepdims=True))
    return means_CD, scores_NC / scores_NC.sum(axis=1, keepdims=True)


def _class_means(features_ND: Array, labels_N: NDArray[Any]) -> Array:
    return np.stack([features_ND[labels_N == c].mean(axis=0) for c in range(int(labels_N.max()) + 1)])


def _covariance(features_ND: Array) -> Array:
    return np.cov(features_ND.T, bias=True)


def _shrunk(covariance_DD: Any, shrinkage: float) -> Array:
    size = len(covariance_DD)
    shrunk: Array = (1 - shrinkage) * covariance_DD + shrinkage * np.trace(covariance_DD) / size * np.eye(
        size
    )
    return shrunk


def _largest_eigenvalue(matrix_DD: Any) -> float:
    """By three double steps of power iteration, as the authors do."""
    x = matrix_DD.sum(axis=1)
    for _ in range(3):
        y = matrix_DD @ x / np.linalg.norm(matrix_DD @ x)
        x = matrix_DD @ y / np.linalg.norm(matrix_DD @ y)
    return float(x @ matrix_DD @ y)
