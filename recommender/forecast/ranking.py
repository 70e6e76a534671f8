"""Makes an ordered answer of joint draws of the forecast: means, intervals, gains, and who is probably best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recommender.forecast.gaussian_process import posterior
from recommender.forecast.kernels import PriorScales
from recommender.forecast.rules import trained_on_target
from recommender.forecast.situation import Observation, Situation
from recommender.records import SCRATCH, Interval

NUM_DRAWS = 4000
LEVEL = 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class StartForecast:
    """The forecast of one start."""

    situation: Situation
    score: Interval
    p_best: float
    expected_loss: float  # against the best of the candidates
    p_beats_first: (
        float  # share of draws in which it ends above the first start; draws that are equal count half
    )
    gain_over_scratch: Interval


def rank_starts(
    history: Sequence[Observation],
    candidates: Sequence[Situation],
    *,
    seed: int = 0,
    scales: PriorScales | None = None,
) -> tuple[StartForecast, ...]:
    """Forecast one training of every candidate; order by expected loss, which is the order of expected scores too.

    The candidates are starts on one target at one budget and include scratch. Draws are joint, so what the starts
    share (the target's difficulty) cancels in `p_best` and in the gains. Where the probability to be the best would
    order starts otherwise, those share its mean: rank and probability never contradict each other. Checkpoints trained
    on this very data come last and win nothing: what they reach on images they know is no result.
    """
    scales = scales or PriorScales()
    belief = posterior(history, candidates, scales).of_one_training(scales)
    draws_SN = belief.samples(NUM_DRAWS, seed)
    # Not the draws' means: their error would order close starts anew with every start that joins the race.
    means_N = belief.expected_scores()
    known_N = np.array([trained_on_target(candidate.evidence) for candidate in candidates], dtype=bool)
    rivals_SN = draws_SN if known_N.all() else np.where(known_N, -np.inf, draws_SN)
    best_S = rivals_SN.max(axis=1, initial=-np.inf)
    # Ties (identical draws) are broken by name, so that the same question has the same answer.
    order = sorted(
        range(len(candidates)),
        key=lambda i: (bool(known_N[i]), -round(float(means_N[i]), 6), candidates[i].start),
    )
    p_best_N = isotonic_decreasing(_shares_of_wins(rivals_SN, best_S)[order])
    scratch = [i for i, candidate in enumerate(candidates) if candidate.start.checkpoint == SCRATCH]
    base_S = draws_SN[:, scratch[0]] if scratch else np.zeros(NUM_DRAWS)
    base_mean = float(means_N[scratch[0]]) if scratch else 0.0
    first_mean = float(means_N[order[0]]) if order else 0.0
    best = first_mean + scales.loss_share * max(0.0, float(best_S.mean()) - first_mean)
    first_S = draws_SN[:, order[0]] if order else np.zeros(NUM_DRAWS)
    # A start that comes last for what it knows loses no less than those above it.
    losses_N = np.maximum.accumulate([max(0.0, best - float(means_N[i])) for i in order])
    return tuple(
        StartForecast(
            situation=candidates[i],
            score=_around(_interval(draws_SN[:, i], scales.tail), float(means_N[i])),
            p_best=float(p_best),
            expected_loss=float(loss),
            p_beats_first=_share_above(draws_SN[:, i], first_S),
            gain_over_scratch=_around(
                _interval(draws_SN[:, i] - base_S, scales.tail), float(means_N[i]) - base_mean
            ),
        )
        for i, p_best, loss in zip(order, p_best_N, losses_N, strict=True)
    )


def _shares_of_wins(draws_SN: NDArray[np.float64], best_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of draws that each candidate wins, N numbers that sum to 1.

    A draw is shared by all that reach its best: where training has hardly begun many are 0, or at chance.
    """
    wins_SN = draws_SN == best_S[:, None]
    shares_N: NDArray[np.float64] = (1.0 / wins_SN.sum(axis=1)) @ wins_SN / len(best_S)
    return shares_N


def _share_above(draws_S: NDArray[np.float64], others_S: NDArray[np.float64]) -> float:
    """The share of draws above the others; where both are equal, half a draw."""
    return float((draws_S > others_S).mean() + (draws_S == others_S).mean() / 2)


def isotonic_decreasing(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest sequence that never rises, same sum: neighbours in the wrong order share their mean.

    Isotonic regression by pooling adjacent violators (Barlow et al. 1972), as scikit-learn's `isotonic_regression`,
    whose loading would take longer than the whole forecast.
    """
    pools: list[tuple[float, int]] = []  # mean, how many
    for value in values_N:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            (above, many), (below, few) = pools[-2:]
            pools[-2:] = [((above * many + below * few) / (many + few), many + few)]
    return np.repeat([mean for mean, _ in pools], [count for _, count in pools])


def _around(interval: Interval, mean: float) -> Interval:
    """The interval with this mean inside: where most draws end at 0, the few others can lift it above both ends."""
    return replace(interval, mean=mean, low=min(interval.low, mean), high=max(interval.high, mean))


def _interval(draws_S: NDArray[np.float64], tail: float) -> Interval:
    low, high = np.quantile(draws_S, [tail, 1 - tail])
    return Interval(mean=float(draws_S.mean()), low=float(low), high=float(high), level=LEVEL)
