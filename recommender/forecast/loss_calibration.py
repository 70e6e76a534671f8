"""The share of the forecast's certainty that comes true on targets whose results are known: two numbers fitted to them.

Joint normal draws of many starts expect more of the best one than results show, and results lie closer to the forecast
than a normal one with their variance would: most differences are small and few are large. The scales cannot say so.
Hence one share of the loss expected of the first choice, and one tail of the intervals, both estimated by hiding each
known target in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from recommender.forecast.gaussian_process import Posterior, noise_of, result_of
from recommender.forecast.kernels import KernelInputs, Matrix, PriorScales
from recommender.forecast.rules import saw_target
from recommender.forecast.situation import Observation

MIN_STARTS = 4  # in a race
PRIOR_TARGETS = 5.0  # targets on which all came true as normal draws say, that both estimates begin with
INSIDE = 0.8  # share of the results that an interval is to hold
DRAWS = 1000
STEPS = 40  # of a bisection


@dataclass(frozen=True, kw_only=True, eq=False)
class HiddenTarget:
    """One target's runs, and their forecast from all other targets."""

    belief: Posterior
    results_N: Matrix  # on the model's scale
    runs: tuple[Observation, ...]
    races: tuple[tuple[int, ...], ...]  # places of runs that are comparable


def calibrated_scales(
    inputs: KernelInputs, finished: Sequence[Observation], scales: PriorScales
) -> PriorScales:
    """The scales with their `loss_share` and `tail` as results ask for; as they are where these cannot tell.

    `inputs` belong to the situations of `finished`.
    """
    targets = [target for target in _hidden(inputs, finished, scales) if target.races]
    if not targets:
        return scales
    return replace(scales, loss_share=_loss_share(targets), tail=_tail(targets))


def _hidden(
    inputs: KernelInputs, finished: Sequence[Observation], scales: PriorScales
) -> Iterator[HiddenTarget]:
    """Every target's results forecast from the others'.

    It follows from the inverse of the covariance of all results (Rasmussen & Williams 2006, section 5.4.2, for blocks
    in place of single runs).
    """
    noise_NN = noise_of(finished, scales)
    results_N = np.array([result_of(observation) for observation in finished])
    covariance_NN = inputs.covariance(scales)
    covariance_NN += noise_NN
    # Half the time of a general inverse. LAPACK works in Fortran's order, in which this matrix is the same.
    factor_NN, failed = dpotrf(covariance_NN.T, lower=1, overwrite_a=1)
    if failed:  # rounding has left it without an inverse that means anything
        return
    half_NN, _ = dpotri(factor_NN, lower=1, overwrite_c=1)
    precision_NN = half_NN + half_NN.T - np.diag(np.diag(half_NN))
    weighted_N = precision_NN @ (results_N - inputs.mean_N)
    for target in range(int(inputs.target_N.max()) + 1):
        rows = np.flatnonzero(inputs.target_N == target)
        covariance_RR = np.linalg.inv(precision_NN[np.ix_(rows, rows)])
        runs = tuple(finished[row] for row in rows.tolist())
        yield HiddenTarget(
            belief=Posterior(
                mean_N=results_N[rows] - covariance_RR @ weighted_N[rows],
                covariance_NN=covariance_RR - noise_NN[np.ix_(rows, rows)],
            ).of_one_training(scales),
            results_N=results_N[rows],
            runs=runs,
            races=tuple(_races(runs)),
        )


def _loss_share(targets: Sequence[HiddenTarget]) -> float:
    """Realised loss of the first choices, as a share of the expected one."""
    of_targets = [np.mean([_losses(target, race) for race in target.races], axis=0) for target in targets]
    expected, realised = np.sum(of_targets, axis=0)
    prior = PRIOR_TARGETS * expected / len(targets)
    return float((realised + prior) / (expected + prior))


def _losses(target: HiddenTarget, race: Sequence[int]) -> tuple[float, float]:
    """Expected and realised loss of the first choice among these runs."""
    places = list(race)
    belief = Posterior(
        mean_N=target.belief.mean_N[places], covariance_NN=target.belief.covariance_NN[np.ix_(places, places)]
    )
    scores_N: Matrix = np.array([target.runs[i].score for i in places])
    means_N = belief.expected_scores()
    first = int(means_N.argmax())
    expected = float(belief.samples(DRAWS, seed=0).max(axis=1).mean() - means_N[first])
    return max(0.0, expected), float(scores_N.max() - scores_N[first])


def _tail(targets: Sequence[HiddenTarget]) -> float:
    """Share of normal draws to leave out at either end, so that intervals hold `INSIDE` of the results of a target."""
    normal, low, high = NormalDist(), 0.0, 4.0
    deviations = [_deviations(target) for target in targets]
    for _ in range(STEPS):
        middle = (low + high) / 2
        held = sum(float((one <= middle).mean()) for one in deviations)
        held += PRIOR_TARGETS * (2 * normal.cdf(middle) - 1)
        if held < INSIDE * (len(targets) + PRIOR_TARGETS):
            low = middle
        else:
            high = middle
    return 1 - normal.cdf(high)


def _deviations(target: HiddenTarget) -> Matrix:
    """Distances of the results that ran in a race from their forecast, in its standard deviations."""
    rows = sorted({place for race in target.races for place in race})
    mean_N, results_N = target.belief.mean_N[rows], target.results_N[rows]
    away_N = np.abs(results_N - mean_N) / np.sqrt(np.diag(target.belief.covariance_NN)[rows])
    # Nothing is below 0, where a forecast below it ends too.
    away: Matrix = np.where((results_N <= 0.0) & (mean_N < 0.0), 0.0, away_N)
    return away


def _races(runs: Sequence[Observation]) -> Iterator[tuple[int, ...]]:
    """Places of the runs of one target that are comparable: one budget, one share of the images, one seed.

    As in the backtest, a start that saw the target's images in its own training is in none.
    """
    races: dict[tuple[object, ...], dict[str, int]] = {}
    for place, observation in enumerate(runs):
        recipe, situation = observation.run.recipe, observation.situation
        if saw_target(situation):
            continue
        key = (situation.budget, recipe.fraction, recipe.seed)
        races.setdefault(key, {})[str(situation.start)] = place
    # In the order of the starts' names: which run came first must not matter to the draws.
    return (
        tuple(race[start] for start in sorted(race)) for race in races.values() if len(race) >= MIN_STARTS
    )
