"""Features of a target's boxes → the scores of `Evidence`.

Every candidate's features are brought to the same number of dimensions first: wider networks would otherwise
score higher for their width alone, which is how such scores come to rank models instead of transfer.

Shapes: M boxes, K channels of a level, R reduced dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recommender.blas import single_blas_thread
from recommender.evidence.estimators import ESTIMATORS, Estimator, knn_accuracy
from recommender.evidence.samples import BACKGROUND, TargetSample

REDUCED = 64  # dimensions
MIN_OBJECTS = 8  # fewer say nothing


@single_blas_thread()
def scores_of(levels: Mapping[int, NDArray[np.float32]], sample: TargetSample) -> dict[str, float | None]:
    """Every estimator of the table on these features, by name; None where it is not defined."""
    nothing: dict[str, float | None] = {row.name: None for row in ESTIMATORS}
    if sample.num_objects < MIN_OBJECTS or not levels:
        return nothing
    reduced = {stride: reduce(standardise(level_MK)) for stride, level_MK in levels.items()}
    together = reduce(np.concatenate(list(reduced.values()), axis=1))
    scores = dict(nothing)
    for row in ESTIMATORS:
        if row.per_level:
            values = [_score(row, level_MR, sample) for level_MR in reduced.values()]
            scores[row.name] = max((value for value in values if value is not None), default=None)
        else:
            scores[row.name] = _score(row, together, sample)
    return scores


def standardise(features_MK: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each column to mean 0 and deviation 1; constant columns become 0."""
    features = np.asarray(features_MK, dtype=np.float64)
    centred = features - features.mean(axis=0)
    deviation_K = centred.std(axis=0)
    varies_K = deviation_K > 1e-12 * (1.0 + np.abs(features).max())
    standard: NDArray[np.float64] = centred / np.where(varies_K, deviation_K, np.inf)
    return standard


def reduce(features_MK: NDArray[np.float64], dimensions: int = REDUCED) -> NDArray[np.float64]:
    """The leading principal components, at most `dimensions` and a quarter of M, scaled to mean square 1."""
    kept = max(1, min(dimensions, features_MK.shape[1], len(features_MK) // 4))
    reduced_MR: NDArray[np.float64]
    if len(features_MK) < features_MK.shape[1]:  # the same components from the smaller of the two matrices
        values_M, vectors_MM = np.linalg.eigh(features_MK @ features_MK.T)
        reduced_MR = vectors_MM[:, ::-1][:, :kept] * np.sqrt(values_M[::-1][:kept].clip(0.0))
    else:
        _, vectors_KK = np.linalg.eigh(features_MK.T @ features_MK)
        reduced_MR = features_MK @ vectors_KK[:, ::-1][:, :kept]
    scale = np.sqrt(np.mean(reduced_MR**2))
    return reduced_MR / scale if scale > 0 else reduced_MR


def _score(row: Estimator, features_MR: NDArray[np.float64], sample: TargetSample) -> float | None:
    if row.looks_at == "boxes":
        objects = sample.labels_M != BACKGROUND
        return row.function(_with_intercept(features_MR[objects]), _log_sizes(sample.shapes_M4[objects]))
    if row.function is knn_accuracy:
        return knn_accuracy(features_MR, sample.labels_M, groups_N=sample.images_M)
    features = _with_intercept(features_MR) if row.per_level else features_MR
    return row.function(features, sample.labels_M)


def _with_intercept(features_MR: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([features_MR, np.ones((len(features_MR), 1))], axis=1)


def _log_sizes(shapes_M4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Box sizes as columns of deviation 1; where a box lies cannot be seen inside it, so it is not asked."""
    return standardise(np.log(shapes_M4[:, 2:].clip(1e-4)).astype(np.float32))
