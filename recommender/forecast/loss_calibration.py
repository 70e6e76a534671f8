"""The share of the loss expected of the first choice that comes true, on targets whose results are known.

Joint normal draws of many starts expect more of the best one than results show: differences between starts are mostly
small and seldom large. The scales of the prior cannot say so, hence this one factor, estimated by hiding each known
target in turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recommender.forecast.gaussian_process import Posterior, noise_of, result_of
from recommender.forecast.kernels import KernelInputs, Matrix, PriorScales
from recommender.forecast.situation import Observation

MIN_STARTS = 4  # in a race
PRIOR_TARGETS = 5.0  # targets on which all of the expected loss came true, that the estimate begins with
DRAWS = 1000


def loss_share(inputs: KernelInputs, finished: Sequence[Observation], scales: PriorScales) -> float:
    """Realised loss of the first choices, as a share of the expected one; 1 where no target had a race.

    `inputs` belong to the situations of `finished`. The forecast of a hidden target's results follows from the
    inverse of the covariance of all results (Rasmussen & Williams 2006, section 5.4.2, for blocks in place of
    single runs).
    """
    noise_NN = noise_of(finished, scales)
    results_N = np.array([result_of(observation) for observation in finished])
    precision_NN = np.linalg.inv(inputs.covariance(scales) + noise_NN)
    weighted_N = precision_NN @ (results_N - inputs.mean_N)
    losses = []  # of one target: expected, realised
    for target in range(int(inputs.target_N.max()) + 1):
        rows = np.flatnonzero(inputs.target_N == target)
        covariance_RR = np.linalg.inv(precision_NN[np.ix_(rows, rows)])
        hidden = Posterior(
            mean_N=results_N[rows] - covariance_RR @ weighted_N[rows],
            covariance_NN=covariance_RR - noise_NN[np.ix_(rows, rows)],
        ).of_one_training(scales)
        own = [finished[row] for row in rows.tolist()]
        of_races = [_losses(hidden, race, own) for race in _races(own)]
        if of_races:
            losses.append(np.mean(of_races, axis=0))
    if not losses:
        return 1.0
    expected, realised = np.sum(losses, axis=0)
    prior = PRIOR_TARGETS * expected / len(losses)
    return float((realised + prior) / (expected + prior))


def _losses(hidden: Posterior, race: Sequence[int], runs: Sequence[Observation]) -> tuple[float, float]:
    """Expected and realised loss of the first choice among these runs."""
    belief = Posterior(mean_N=hidden.mean_N[race], covariance_NN=hidden.covariance_NN[np.ix_(race, race)])
    scores_N: Matrix = np.array([runs[i].score for i in race])
    means_N = belief.expected_scores()
    first = int(means_N.argmax())
    expected = float(belief.samples(DRAWS, seed=0).max(axis=1).mean() - means_N[first])
    return max(0.0, expected), float(scores_N.max() - scores_N[first])


def _races(runs: Sequence[Observation]) -> list[list[int]]:
    """Places of the runs of one target that are comparable: one budget, one share of the images, one seed."""
    races: dict[tuple[object, ...], dict[str, int]] = {}
    for place, observation in enumerate(runs):
        recipe, situation = observation.run.recipe, observation.situation
        key = (situation.budget, recipe.fraction, recipe.seed)
        races.setdefault(key, {})[str(situation.start)] = place
    # In the order of the starts' names: which run came first must not matter to the draws.
    return [[race[start] for start in sorted(race)] for race in races.values() if len(race) >= MIN_STARTS]
