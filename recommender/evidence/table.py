"""The table of estimators: what is measured of a candidate on a target, and how far the forecast believes it.

Adding an estimator is a row here: it is measured, stored, published, shown and weighed from then on.

Shapes: M boxes, R reduced dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.evidence.estimators import (
    Array,
    h_score,
    knn_accuracy,
    logme,
    logme_classes,
    ridge_accuracy,
)
from recommender.evidence.samples import BACKGROUND, TargetSample
from recommender.evidence.zero_shot import zero_shot_accuracy, zero_shot_map
from recommender.records import Checkpoint
from recommender.tasks import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class CandidateFeatures:
    """Features of the target's boxes from a candidate's own backbone, brought to the same number of dimensions."""

    levels: Mapping[int, Array]  # stride → (M, R)
    together: Array  # of all levels, (M, R)
    whole: Array  # of all levels at their full width, (M, K)
    sample: TargetSample  # the images and boxes they are of
    checkpoint: Checkpoint | None = None  # for estimators that look at more than features


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """One row. `measure` returns None where the score is not defined; a higher one means better transfer.

    Scores compare candidates on one target only, so the forecast takes them as z-scores, by the mean and the spread of
    the target's public checkpoints: what a user adds beside them changes nothing said of the others.
    """

    name: str  # in `Evidence.scores` and in every published answer
    label: str  # on the pages
    measure: Callable[[CandidateFeatures], float | None]
    weight: float  # the forecast's prior mean of its effect, on the forecast's scale of scores
    sd: float  # and its standard deviation; 0 with weight 0 keeps it out of the forecast
    paper: str
    cost: str  # for N samples of D dimensions and C classes
    tasks: tuple[Task, ...] = ("detect", "segment", "classify")  # of the data sets it is measured on
    said: str = ""  # of a start's score, among the reasons; {metric} is the name of the task's
    of_frozen: bool = (
        False  # whether the forecast heeds it for frozen detectors; of whole images it heeds all
    )


def _knn(features: CandidateFeatures) -> float | None:
    sample = features.sample
    return knn_accuracy(features.together, sample.labels_M, groups_N=sample.images_M)


def _logme_classes(features: CandidateFeatures) -> float | None:
    return _best_level(
        features, lambda level_MR: logme_classes(with_intercept(level_MR), features.sample.labels_M)
    )


def _logme_boxes(features: CandidateFeatures) -> float | None:
    sample = features.sample
    objects = sample.labels_M != BACKGROUND
    sizes = log_sizes(sample.shapes_M4[objects])
    return _best_level(features, lambda level_MR: logme(with_intercept(level_MR[objects]), sizes))


ESTIMATORS: tuple[Estimator, ...] = (
    Estimator(name="knn_accuracy", label="k-NN accuracy", measure=_knn, weight=0.010, sd=0.02,
              paper="arXiv 2503.18528", cost="N²D", of_frozen=True),
    Estimator(name="logme_classes", label="LogME, classes", measure=_logme_classes, weight=0.005, sd=0.02,
              paper="arXiv 2102.11005", cost="ND² + CND"),
    Estimator(name="logme_boxes", label="LogME, boxes", measure=_logme_boxes, weight=0.010, sd=0.02,
              paper="arXiv 2306.15306", cost="ND²", of_frozen=True,
              tasks=("detect", "segment")),  # whole images are all of one size
    Estimator(name="h_score", label="H-score", measure=lambda of: h_score(of.together, of.sample.labels_M),
              weight=0.005, sd=0.02, paper="arXiv 2110.06893", cost="ND² + D³"),
    Estimator(name="linear_probe", label="linear probe",
              measure=lambda of: ridge_accuracy(of.whole, of.sample.labels_M),
              weight=0.03, sd=0.03, paper="arXiv 1610.01644", cost="N³", tasks=("classify",)),
    # No set of the built-in history shares two classes with a checkpoint that has not seen its images: shown alone.
    Estimator(name="zero_shot", label="zero-shot accuracy",
              measure=lambda of: zero_shot_accuracy(of.checkpoint, of.sample),
              weight=0.0, sd=0.0, paper="the checkpoint's own head", cost="N", tasks=("classify",),
              said="untrained it puts {score:.0%} of your images of what it knows right"),
    # Nor can its effect be fitted: shown alone.
    Estimator(name="zero_shot_map", label="zero-shot mAP50-95",
              measure=lambda of: zero_shot_map(of.checkpoint, of.sample),
              weight=0.0, sd=0.0, paper="the checkpoint's own head", cost="N", tasks=("detect", "segment"),
              said="untrained it reaches {metric} {score:.2f} on what it knows"),
)  # fmt: skip


def with_intercept(features_MR: Array) -> Array:
    """The features with a last column of ones."""
    return np.concatenate([features_MR, np.ones((len(features_MR), 1))], axis=1)


def log_sizes(shapes_M4: NDArray[np.float64]) -> Array:
    """Logarithms of box sizes, (M, 2), each column of mean 0 and deviation 1.

    Positions are left out: they cannot be seen inside a box.
    """
    return standardise(np.log(shapes_M4[:, 2:].clip(1e-4)).astype(np.float32))


def standardise(features_MK: NDArray[np.float32]) -> Array:
    """Each column to mean 0 and deviation 1; constant columns become 0."""
    features = np.asarray(features_MK, dtype=np.float64)
    centred = features - features.mean(axis=0)
    deviation_K = centred.std(axis=0)
    varies_K = deviation_K > 1e-12 * (1.0 + np.abs(features).max())
    standard: Array = centred / np.where(varies_K, deviation_K, np.inf)
    return standard


def _best_level(features: CandidateFeatures, score: Callable[[Array], float | None]) -> float | None:
    scores = [score(level_MR) for level_MR in features.levels.values()]
    return max((one for one in scores if one is not None), default=None)


def estimators_for(task: Task) -> tuple[Estimator, ...]:
    """The rows that are measured on data sets of a task."""
    return tuple(row for row in ESTIMATORS if task in row.tasks)
