"""Transferability estimators: features of a target's objects in, one number out, no training.

Scores compare candidates on one target only. They have no absolute meaning, and a gap between two scores says
nothing about the gap in mAP (SCIENCE.md, "The bars"). Each returns None where it is not defined.

Shapes: N samples, D feature dimensions, C classes, T columns of targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

_LOGME_STEPS = 11  # as the authors' code, which stops early
_LOGME_TOLERANCE = 1e-3
_TINY = 1e-5  # the authors' guard against division by zero
_KNN_ROWS = 512  # distances held at once: rows × N


def knn_accuracy(
    features_ND: NDArray[Any], labels_N: NDArray[Any], *, k: int = 5, groups_N: NDArray[Any] | None = None
) -> float | None:
    """Share of samples whose k nearest others (Euclidean) vote for their class; in [0, 1], higher is better.

    A tie goes to the class with the nearest member. With `groups_N` samples of the same group do not vote:
    objects of one image resemble each other whatever the features are worth.

    Beat 23 transferability metrics on 16 data sets (arXiv 2503.18528). Says little with one object per class.
    """
    checked = _checked(features_ND, labels_N)
    if checked is None:
        return None
    features, labels = checked
    groups = np.arange(len(labels)) if groups_N is None else np.asarray(groups_N)
    num_classes = int(labels.max()) + 1
    square_N = np.einsum("nd,nd->n", features, features)
    correct = voted = 0
    for start in range(0, len(features), _KNN_ROWS):
        rows = slice(start, start + _KNN_ROWS)
        distance_RN = square_N[rows, None] - 2.0 * features[rows] @ features.T + square_N[None, :]
        distance_RN[groups[rows, None] == groups[None, :]] = np.inf
        nearest_Rk = _smallest(distance_RN, k)
        valid_Rk = np.isfinite(np.take_along_axis(distance_RN, nearest_Rk, axis=1))
        # A vote's weight falls with its rank by less than one vote in all: that breaks ties alone.
        weight_k = 1.0 + 0.5 ** np.arange(1, nearest_Rk.shape[1] + 1) / (k + 1)
        votes_RC = np.zeros((len(nearest_Rk), num_classes))
        row_ids = np.repeat(np.arange(len(nearest_Rk)), nearest_Rk.shape[1])
        np.add.at(votes_RC, (row_ids, labels[nearest_Rk].ravel()), (valid_Rk * weight_k).ravel())
        able_R = valid_Rk.any(axis=1)
        correct += int((votes_RC.argmax(axis=1) == labels[rows])[able_R].sum())
        voted += int(able_R.sum())
    return correct / voted if voted else None


def ridge_accuracy(
    features_ND: NDArray[Any],
    labels_N: NDArray[Any],
    *,
    strengths: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0),
) -> float | None:
    """Linear probe: share of samples whose class a ridge regression on all others finds; in [0, 1], higher is better.

    Leave-one-out in closed form (the hat matrix), regularised by the best of `strengths` times the mean squared norm
    of a sample. Paper: linear classifier probes, arXiv 1610.01644. Flatters a little, since the strength is chosen on
    the same samples; says little with one image a class.
    """
    checked = _checked(features_ND, labels_N)
    if checked is None:
        return None
    features, labels = checked
    centred = features - features.mean(axis=0)
    targets_NC = np.eye(int(labels.max()) + 1)[labels]
    targets_NC = targets_NC - targets_NC.mean(axis=0)
    values_N, vectors_NN = np.linalg.eigh(centred @ centred.T)
    scale = float(values_N.clip(0.0).mean())
    if scale <= 0.0:
        return None
    found = []
    for strength in strengths:
        shrunk_N = values_N.clip(0.0) / (values_N.clip(0.0) + strength * scale)
        hat_NN = (vectors_NN * shrunk_N) @ vectors_NN.T + 1.0 / len(labels)  # of the mean as well
        left_N1 = (1.0 - np.diag(hat_NN)).clip(1e-9)[:, None]
        guess_NC = targets_NC - (targets_NC - hat_NN @ targets_NC) / left_N1
        found.append(float((guess_NC.argmax(axis=1) == labels).mean()))
    return max(found)


def logme(features_ND: NDArray[Any], targets_NT: NDArray[Any]) -> float | None:
    """Log marginal evidence of a Bayesian linear model per sample, mean over targets; higher is better.

    Range: any real number; it can exceed 1. Paper: LogME, arXiv 2102.11005; fixed point of arXiv 2110.10545.
    Follows the authors' code, early stop included; like it, the score of fewer samples than dimensions is
    biased, so reduce the features first. Falls behind as training gets longer (arXiv 2306.15306).
    """
    features = np.asarray(features_ND, dtype=np.float64)
    targets = np.asarray(targets_NT, dtype=np.float64)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if not _usable(features) or len(targets) != len(features) or not np.isfinite(targets).all():
        return None
    left_NK, singular_K, _ = np.linalg.svd(features, full_matrices=False)
    kept = singular_K > 1e-10 * max(float(singular_K.max()), 1.0)
    left_NK, sigma_K = left_NK[:, kept], singular_K[kept] ** 2
    if not targets.shape[1] or not len(sigma_K):
        return None
    evidences = [_evidence(left_NK, sigma_K, features.shape, column_N) for column_N in targets.T]
    return _finite(float(np.mean(evidences)))


def logme_classes(features_ND: NDArray[Any], labels_N: NDArray[Any]) -> float | None:
    """LogME of the classes' one-hot columns; None with fewer than two classes. See `logme`."""
    checked = _checked(features_ND, labels_N)
    if checked is None:
        return None
    features, labels = checked
    return logme(features, np.eye(int(labels.max()) + 1)[labels])


def h_score(features_ND: NDArray[Any], labels_N: NDArray[Any]) -> float | None:
    """tr(Σ⁻¹ (1−a) Σ_between) with Ledoit–Wolf's Σ and shrinkage a; in [0, C−1] or little more, higher is better.

    Paper: H-score, ICIP 2019; shrunk as in arXiv 2110.06893, without which it grows with the dimension. Features
    that are pure noise shrink fully and give 0.
    """
    checked = _checked(features_ND, labels_N)
    if checked is None:
        return None
    features, labels = checked
    centred = features - features.mean(axis=0)
    if not centred.any():
        return None
    # Here: loading it takes a second, which a known answer has no need of.
    from sklearn.covariance import ledoit_wolf

    covariance_DD, shrinkage = ledoit_wolf(centred, assume_centered=True)
    means_ND = np.zeros_like(centred)
    for label in range(int(labels.max()) + 1):
        means_ND[labels == label] = centred[labels == label].mean(axis=0)
    between_DD = np.atleast_2d(np.cov(means_ND, rowvar=False))
    inverse_DD = np.linalg.pinv(covariance_DD, rcond=1e-15, hermitian=True)
    return _finite(float((1.0 - shrinkage) * np.einsum("ij,ji->", inverse_DD, between_DD)))


def _evidence(left_NK: Array, sigma_K: Array, shape: tuple[int, ...], target_N: Array) -> float:
    """One column's evidence per sample, by the fixed point on the ratio t = α/β."""
    num_samples, num_dimensions = shape
    projected_K = (left_NK.T @ target_N) ** 2
    outside = float(target_N @ target_N - projected_K.sum())
    alpha = beta = 1.0
    for _ in range(_LOGME_STEPS):
        ratio = alpha / beta
        gamma = float((sigma_K / (sigma_K + ratio)).sum())
        weights_square = float((sigma_K * projected_K / (ratio + sigma_K) ** 2).sum())
        residual = float((projected_K / (1.0 + sigma_K / ratio) ** 2).sum()) + outside
        alpha = gamma / (weights_square + _TINY)
        beta = (num_samples - gamma) / (residual + _TINY)
        if alpha <= 0.0 or beta <= 0.0:
            return float("nan")
        if abs(alpha / beta - ratio) / ratio <= _LOGME_TOLERANCE:
            break
    evidence = (
        num_dimensions / 2.0 * np.log(alpha)
        + num_samples / 2.0 * np.log(beta)
        - 0.5 * np.log(alpha + beta * sigma_K).sum()
        - beta / 2.0 * residual
        - alpha / 2.0 * weights_square
        - num_samples / 2.0 * np.log(2.0 * np.pi)
    )
    return float(evidence / num_samples)


def _smallest(distance_RN: Array, k: int) -> NDArray[np.int64]:
    """Columns of the k smallest entries of each row, nearest first, equal ones by column."""
    k = min(k, distance_RN.shape[1])
    threshold_R1 = np.partition(distance_RN, k - 1, axis=1)[:, k - 1 : k]
    candidates = np.where(distance_RN <= threshold_R1, distance_RN, np.inf)
    chosen: NDArray[np.int64] = np.argsort(candidates, axis=1, kind="stable")[:, :k]
    return chosen


def _checked(features_ND: NDArray[Any], labels_N: NDArray[Any]) -> tuple[Array, Labels] | None:
    """Float64 features and labels 0…C−1; None when there is nothing to tell apart."""
    features = np.asarray(features_ND, dtype=np.float64)
    if not _usable(features) or len(labels_N) != len(features):
        return None
    classes, labels = np.unique(np.asarray(labels_N), return_inverse=True)
    return None if len(classes) < 2 else (features, labels.astype(np.int64))


def _usable(features_ND: Array) -> bool:
    shaped = features_ND.ndim == 2 and features_ND.shape[0] >= 2 and features_ND.shape[1] >= 1
    return bool(shaped and np.isfinite(features_ND).all())


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
