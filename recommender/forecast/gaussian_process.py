"""The forecast's arithmetic: one Gaussian process over (target, start, budget).

A result on the arcsine square root scale is modelled as

    rules · weights  +  level of the target  +  budget there  +  gain of pretraining there  +  mode there
    +  start  +  start on similar targets  +  pair  +  seed there  +  noise

The weights are uncertain around the prior means of `rules.py`, those of the budget from target to target too; the
level is shared by all starts of one target, the gain by all pretrained ones, the mode by all of one mode, so they
cancel where such starts are compared; the effects of starts are Gaussian processes whose kernels compare starts by
their source data sets and targets by their embeddings; what they leave belongs to the pair of target and start. What
sets two starts apart fades as the advantage of pretraining does, at every budget by the same factor, so that longer
training by itself changes no order. The budget's part drifts away from the usual budget, and is expected to stay where
it was seen last; what is peculiar to trainings that have hardly begun is shared by runs at near budgets only, so that a
smoke test hardly moves the answer.

With no history this *is* the table of rules; as the history grows the posterior moves to it, first to "what was best on
average" (static), then to "what was best on sets like this one". Trials on the target itself are observations like any
other.
Rasmussen & Williams (2006), chapters 2.2 and 2.7.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recommender.blas import single_blas_thread
from recommender.forecast.kernel_inputs import kernel_inputs
from recommender.forecast.kernels import Matrix, PriorScales
from recommender.forecast.situation import Observation, Situation, chance, from_scale, to_scale

FLOOR = 0.02  # above guessing: below, a result only says that it is low; how low cannot be seen
FLOOR_NOISE = 0.15
UNTOLD_NOISE = 10.0  # of a low result that was expected: it says nothing

QUADRATURE_NODES = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """Joint normal forecast of the candidates, on the arcsine square root scale."""

    mean_N: Matrix
    covariance_NN: Matrix
    chance_N: Matrix | float = 0.0  # scores that guessing reaches, below which none is forecast

    @single_blas_thread()
    def draws(self, count: int, seed: int) -> Matrix:
        """`count` × N draws on the same scale."""
        values, vectors = np.linalg.eigh(self.covariance_NN)
        # The symmetric root: eigenvectors of like eigenvalues turn with the last bit, which differs from process to
        # process; their root does not.
        root_NN = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        normal = np.random.default_rng(seed).standard_normal((count, len(self.mean_N)))
        drawn: Matrix = self.mean_N + normal @ root_NN
        return drawn

    def expected_scores(self) -> Matrix:
        """Means of the scores that `samples` draws, by Gauss–Hermite quadrature: N numbers in [0, 1]."""
        scores_NQ, weights_Q = self.score_nodes(range(len(self.mean_N)))
        expected: Matrix = scores_NQ @ weights_Q
        return expected

    def score_nodes(self, places: Sequence[int]) -> tuple[Matrix, Matrix]:
        """Scores of the candidates at these L places at Q nodes, L×Q, and the nodes' weights, which sum to 1."""
        nodes_Q, weights_Q = _quadrature()
        rows = list(places)
        deviations_L = np.sqrt(np.maximum(np.diag(self.covariance_NN)[rows], 0.0))
        scores_LQ = from_scale(self.mean_N[rows][:, None] + deviations_L[:, None] * nodes_Q)
        chance_L = np.broadcast_to(self.chance_N, self.mean_N.shape)[rows]
        return np.maximum(scores_LQ, chance_L[:, None]), weights_Q

    def samples(self, count: int, seed: int) -> Matrix:
        """`count` × N draws of scores in [0, 1]."""
        drawn: Matrix = np.maximum(from_scale(self.draws(count, seed)), self.chance_N)
        return drawn

    def of_one_training(self, scales: PriorScales) -> Posterior:
        """The forecast of one training of each start: with a seed's own noise and the part that all starts share."""
        noise_NN = scales.noise**2 * np.eye(len(self.mean_N)) + scales.seed**2
        return replace(self, covariance_NN=self.covariance_NN + noise_NN)


@functools.lru_cache(maxsize=1)
def _quadrature() -> tuple[Matrix, Matrix]:
    """Nodes of a standard normal variable, and their weights, which sum to 1."""
    nodes_Q, weights_Q = np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
    return nodes_Q, weights_Q / weights_Q.sum()


def posterior(
    history: Sequence[Observation], candidates: Sequence[Situation], scales: PriorScales | None = None
) -> Posterior:
    """Condition the rules on the history and read off the candidates. Cost cubic in the number of runs."""
    return _posterior(tuple(history), tuple(candidates), scales or PriorScales())


@functools.lru_cache(maxsize=4)  # the ranking, the decision and the trials ask for the same one
@single_blas_thread()
def _posterior(
    history: tuple[Observation, ...], candidates: tuple[Situation, ...], scales: PriorScales
) -> Posterior:
    situations = [observation.situation for observation in history] + list(candidates)
    known = len(history)
    chance_N = np.array([chance(candidate.target) for candidate in candidates])
    inputs = kernel_inputs(situations)
    mean, covariance = inputs.mean_N, inputs.covariance(scales)
    if not known:
        return Posterior(mean_N=mean, covariance_NN=covariance, chance_N=chance_N)
    results = np.array([result_of(observation) for observation in history])
    noisy = covariance[:known, :known] + noise_of(history, scales)
    # One solve for mean and covariance; numpy's, since loading scipy takes longer than the answer's arithmetic.
    solved = np.linalg.solve(noisy, np.column_stack([results - mean[:known], covariance[:known, known:]]))
    new_mean = mean[known:] + covariance[known:, :known] @ solved[:, 0]
    new_covariance = covariance[known:, known:] - covariance[known:, :known] @ solved[:, 1:]
    symmetric = (new_covariance + new_covariance.T) / 2
    return Posterior(mean_N=new_mean, covariance_NN=symmetric, chance_N=chance_N)


def result_of(observation: Observation) -> float:
    """The result of a run at the full budget, on the arcsine square root scale."""
    value = to_scale(observation.score)
    part = observation.partial
    return part.offset + value * part.slope if part else value


def noise_of(history: Sequence[Observation], scales: PriorScales) -> Matrix:
    """Noise of each training, what runs of one seed share on a target, and the errors of runs that broke off."""
    return error_of_results(history, scales) + sum(noise_terms(history, scales).values())


def noise_terms(history: Sequence[Observation], scales: PriorScales) -> dict[str, Matrix]:
    """N×N covariance of finished trainings by the standard deviation that scales it: each one's own, and a seed's."""
    seeds: dict[tuple[object, ...], int] = {}
    keys = [
        (o.situation.target.dataset_hash, o.situation.budget, o.run.recipe.fraction, o.run.recipe.seed)
        for o in history
    ]
    places_N = np.array([seeds.setdefault(key, len(seeds)) for key in keys], dtype=np.int64)
    shared_NN = (places_N[:, None] == places_N[None, :]).astype(np.float64)
    return {"noise": scales.noise**2 * np.eye(len(history)), "seed": scales.seed**2 * shared_NN}


def error_of_results(history: Sequence[Observation], scales: PriorScales) -> Matrix:
    """N×N covariance of what results do not show: how low a low one is, and where runs that broke off would end."""
    untold_N = expected_low(tuple(history))
    low_N = np.where(untold_N, UNTOLD_NOISE**2, np.where(_is_low(history), FLOOR_NOISE**2, 0.0))
    errors: Matrix = np.diag(low_N) + _error_of_beginnings(history, scales)
    return errors


@functools.lru_cache(maxsize=8)
@single_blas_thread()
def expected_low(history: tuple[Observation, ...]) -> NDArray[np.bool_]:
    """N flags: results near guessing that the runs above it would have forecast there, or lower.

    The model may expect a result far below 0, and then 0 is no better than expected: it tells nothing, and must not
    raise the forecast of its data set (a censored observation: Tobin 1958). One that was expected higher does tell.
    """
    low_N = _is_low(history)
    if not low_N.any():
        return low_N
    scales, low, others = PriorScales(), np.flatnonzero(low_N), np.flatnonzero(~low_N)
    inputs = kernel_inputs([observation.situation for observation in history])
    covariance_NN, expected_N = inputs.covariance(scales), inputs.mean_N.copy()
    noise_NN = _error_of_beginnings(history, scales) + sum(noise_terms(history, scales).values())
    surprise_N = np.array([result_of(observation) for observation in history]) - expected_N
    weights = np.linalg.solve((covariance_NN + noise_NN)[np.ix_(others, others)], surprise_N[others])
    expected_N[low] += covariance_NN[np.ix_(low, others)] @ weights
    untold_N: NDArray[np.bool_] = low_N & (expected_N <= np.array([to_scale(_floor(o)) for o in history]))
    return untold_N


def _is_low(history: Sequence[Observation]) -> NDArray[np.bool_]:
    return np.array([observation.score < _floor(observation) for observation in history], dtype=bool)


def _floor(observation: Observation) -> float:
    return FLOOR + chance(observation.situation.target)


def _error_of_beginnings(history: Sequence[Observation], scales: PriorScales) -> Matrix:
    errors: Matrix = np.diag([o.partial.noise**2 if o.partial else 0.0 for o in history])
    groups: dict[str, list[int]] = {}
    for i, observation in enumerate(history):
        if observation.partial is not None:
            groups.setdefault(observation.partial.group, []).append(i)
    for rows in groups.values():
        errors[np.ix_(rows, rows)] += scales.offset**2
    return errors
