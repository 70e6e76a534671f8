"""From joint draws of the forecast to an ordered answer: means, intervals, gains, and who is probably best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.forecast.kernels import Spread
from recommender.forecast.process import posterior
from recommender.forecast.situation import Observation, Situation
from recommender.records import SCRATCH, Interval

NUM_DRAWS = 4000
LEVEL = 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class Outlook:
    """What is expected of one start."""

    situation: Situation
    score: Interval
    p_best: float
    expected_loss: float  # against the best of the candidates
    gain_over_scratch: Interval


def outlooks(
    history: Sequence[Observation],
    candidates: Sequence[Situation],
    *,
    seed: int = 0,
    spread: Spread | None = None,
) -> tuple[Outlook, ...]:
    """Forecast every candidate and order them by expected mAP50-95, best first.

    The candidates are starts on one target at one budget and include scratch. Draws are joint, so what the starts
    share (the target's difficulty) cancels in `p_best` and in the gains.
    """
    draws_SN = posterior(history, candidates, spread).samples(NUM_DRAWS, seed)
    winners = np.bincount(draws_SN.argmax(axis=1), minlength=len(candidates)) / NUM_DRAWS
    scratch = [i for i, candidate in enumerate(candidates) if candidate.start.checkpoint == SCRATCH]
    best_S = draws_SN.max(axis=1)
    base_S = draws_SN[:, scratch[0]] if scratch else np.zeros(NUM_DRAWS)
    found = [
        Outlook(
            situation=candidate,
            score=_interval(draws_SN[:, i]),
            p_best=float(winners[i]),
            expected_loss=float((best_S - draws_SN[:, i]).mean()),
            gain_over_scratch=_interval(draws_SN[:, i] - base_S),
        )
        for i, candidate in enumerate(candidates)
    ]
    # Ties (identical draws) are broken by name, so that the same question has the same answer.
    return tuple(sorted(found, key=lambda o: (-round(o.score.mean, 6), o.situation.start)))


def _interval(draws_S: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(draws_S, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean=float(draws_S.mean()), low=float(low), high=float(high), level=LEVEL)
