"""Learns from the history how large each part of the forecast's prior is: empirical Bayes.

The spread that makes the recorded results most probable, held near the beliefs by a log-normal prior, so that few
runs move it little. Rasmussen & Williams (2006), chapter 5.4.1.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

from recommender.forecast.kernels import Matrix, Spread, lay_out
from recommender.forecast.process import noise_of, result_of
from recommender.forecast.situation import Observation

LEARNT = ("level", "gain", "mode", "habit", "habit_on_kin", "pair", "noise", "source_length", "target_length",
          "across_modes", "across_checkpoints")  # fmt: skip
DOUBT = 0.7  # standard deviation of the logarithm around the belief
MOST = 3.0  # of a logarithm: four DOUBTs
MIN_RUNS, MIN_TARGETS = 20, 2  # below, the beliefs stand
LARGEST_SHARE = 0.99


@functools.lru_cache(maxsize=64)
def learnt_spread(history: tuple[Observation, ...]) -> Spread:
    """The most probable spread given the finished runs of a history; the beliefs where they are too few."""
    finished = [observation for observation in history if observation.partial is None]
    targets = {observation.situation.target.dataset_hash for observation in finished}
    if len(finished) < MIN_RUNS or len(targets) < MIN_TARGETS:
        return Spread()
    ground = lay_out([observation.situation for observation in finished])
    residual = np.array([result_of(observation) for observation in finished]) - ground.mean_N

    def surprise(logs: Matrix) -> float:
        spread = _at(logs)
        covariance = ground.covariance(spread) + noise_of(finished, spread)
        try:
            factor = cho_factor(covariance, lower=True)
        except LinAlgError:
            return 1e9
        fit = 0.5 * residual @ cho_solve(factor, residual) + np.log(np.diag(factor[0])).sum()
        return float(fit + 0.5 * np.sum((logs / DOUBT) ** 2))

    found = minimize(
        surprise,
        np.zeros(len(LEARNT)),
        method="L-BFGS-B",
        bounds=[(-MOST, MOST)] * len(LEARNT),  # a line search may try anything, a length of 0 too
        options={"maxiter": 30},
    )
    return _at(found.x)


def _at(logs: Sequence[float] | Matrix) -> Spread:
    """The beliefs times exp(logs)."""
    beliefs = asdict(Spread())
    scaled = {name: float(beliefs[name] * np.exp(log)) for name, log in zip(LEARNT, logs, strict=True)}
    for name in ("across_modes", "across_checkpoints"):
        scaled[name] = min(scaled[name], LARGEST_SHARE)
    return replace(Spread(), **scaled)
