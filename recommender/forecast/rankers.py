"""The rankers a backtest compares: ours, and the ones it has to beat.

A ranker scores the candidates of one target, higher is better, from a history in which that target does not occur.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.blas import single_blas_thread
from recommender.checkpoints import REFERENCE_NAMES
from recommender.evidence import estimators_for
from recommender.forecast.gaussian_process import noise_of, posterior, result_of
from recommender.forecast.kernel_inputs import kernel_inputs
from recommender.forecast.prior_fitting import fitted_scales
from recommender.forecast.rules import similarity
from recommender.forecast.situation import Observation, Situation
from recommender.records import SCRATCH, Budget
from recommender.tasks import Task, task_definition

Scores = NDArray[np.float64]
Ranker = Callable[[Sequence[Observation], Sequence[Situation]], Scores]

SCRATCH_SCORE = (
    -10.0
)  # scores of weights say nothing of random ones: those go last, as everybody would put them
FREEZE_SCORE = -0.01  # and where a score cannot tell modes apart, full training is the custom
SAME_TASK = (
    0.1  # decades of images: of two checkpoints of the same pictures the custom is that of one's own task
)


def forecast(history: Sequence[Observation], candidates: Sequence[Situation]) -> Scores:
    """The forecast: the posterior mean, its scales estimated from the same history."""
    return posterior(history, candidates, fitted_scales(tuple(history))).mean_N


@single_blas_thread()
def forecast_of_new(history: Sequence[Observation], candidates: Sequence[Situation]) -> Scores:
    """The forecast for new checkpoints: each is scored without any run that started from it.

    But for COCO's and scratch, which every history knows. Runs are left out of one inverse of all runs' covariance, by
    blocks (Rasmussen & Williams 2006, section 5.4.2).
    """
    scales = fitted_scales(tuple(history))
    inputs = kernel_inputs([*(o.situation for o in history), *candidates])
    known, covariance_NN = len(history), inputs.covariance(scales)
    inverse_RR = np.linalg.inv(covariance_NN[:known, :known] + noise_of(history, scales))
    weights_R = inverse_RR @ (np.array([result_of(o) for o in history]) - inputs.mean_N[:known])
    started_R = np.array([o.situation.start.checkpoint for o in history])
    scores = inputs.mean_N[known:].copy()
    for i, candidate in enumerate(candidates):
        name, left_R = candidate.start.checkpoint, weights_R
        out = np.flatnonzero(started_R == name)
        if len(out) and name not in (SCRATCH, *REFERENCE_NAMES):
            block = np.linalg.solve(inverse_RR[np.ix_(out, out)], weights_R[out])
            left_R = weights_R - inverse_RR[:, out] @ block
        scores[i] += covariance_NN[known + i, :known] @ left_R
    return scores


def rules(history: Sequence[Observation], candidates: Sequence[Situation]) -> Scores:
    """The forecast without any history."""
    return posterior((), candidates).mean_N


def static(history: Sequence[Observation], candidates: Sequence[Situation]) -> Scores:
    """The best on average: the mean z-score of a start over past races; the unknown score 0.

    A race is what ran on one target at one budget with one seed, so that like is compared with like; of races at
    other budgets than the one asked for nothing is taken.
    """
    by_start: dict[str, list[float]] = {}
    for results in races(history, candidates[0].budget).values():
        values = np.array(list(results.values()))
        deviation = float(values.std()) or 1.0
        for start, value in results.items():
            by_start.setdefault(start, []).append((value - float(values.mean())) / deviation)
    return np.array([float(np.mean(by_start.get(str(c.start), [0.0]))) for c in candidates])


def always_reference(history: Sequence[Observation], candidates: Sequence[Situation]) -> Scores:
    """The custom: the task's COCO or ImageNet weights, fine-tuned; then whatever was trained on most images."""
    return np.array([_custom(c) for c in candidates])


def bare_similarity(history: Sequence[Observation], candidates: Sequence[Situation]) -> Scores:
    """Similarity of source and target alone."""
    return np.array([_scored(c, similarity(c)) for c in candidates])


def static_and_similarity(history: Sequence[Observation], candidates: Sequence[Situation]) -> Scores:
    """Equal sum of the z-scores of static and similarity, the strongest simple fusion known to us."""
    return _z(static(history, candidates)) + _z(bare_similarity(history, candidates))


def by_evidence(name: str) -> Ranker:
    """A ranker by the score of one estimator alone."""

    def ranker(history: Sequence[Observation], candidates: Sequence[Situation]) -> Scores:
        return np.array([_scored(c, c.evidence.scores.get(name)) for c in candidates])

    return ranker


def rankers_for(task: Task) -> dict[str, Ranker]:
    """The rankers of data sets of a task by name, ours first."""
    return {
        "forecast": forecast,
        "forecast (new)": forecast_of_new,
        "rules": rules,
        "static": static,
        task_definition(task).reference: always_reference,
        "similarity": bare_similarity,
        "static+similarity": static_and_similarity,
    } | {row.name: by_evidence(row.name) for row in estimators_for(task) if row.sd > 0}


def races(
    history: Sequence[Observation], budget: Budget, *, min_starts: int = 3
) -> dict[tuple[str, float, int], dict[str, float]]:
    """Results by start of every race at `budget`: by target, share of its images, and seed."""
    gathered: dict[tuple[str, float, int], dict[str, float]] = {}
    for observation in history:
        situation, recipe = observation.situation, observation.run.recipe
        if situation.budget == budget:
            key = (situation.target.dataset_hash, recipe.fraction, recipe.seed)
            gathered.setdefault(key, {})[str(situation.start)] = observation.score
    return {key: results for key, results in gathered.items() if len(results) >= min_starts}


def _custom(candidate: Situation) -> float:
    checkpoint = candidate.checkpoint
    if checkpoint is None:
        return _scored(candidate, None)
    decades = math.log10(checkpoint.source_images) if checkpoint.source_images else 0.0
    return _scored(candidate, decades + (SAME_TASK if checkpoint.task == candidate.target.task else 0.0))


def _scored(candidate: Situation, score: float | None) -> float:
    if candidate.start.checkpoint == SCRATCH:
        return SCRATCH_SCORE
    value = 0.0 if score is None or not math.isfinite(score) else score
    return value + (FREEZE_SCORE if candidate.start.mode == "freeze" else 0.0)


def _z(scores: Scores) -> Scores:
    deviation = float(scores.std())
    return (scores - scores.mean()) / deviation if deviation > 0 else np.zeros_like(scores)
