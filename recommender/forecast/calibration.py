"""Calibration of a forecast: its intervals, the loss it expects, and its probabilities to be the best."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SMALLEST_P = 1e-3  # a probability below counts as this: of 4,000 draws none may win
DEAD = 0.08  # where not even the best start reaches it, an order is mostly noise
TIED = 0.02  # another seed moves a result by as much
BINS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)  # of the probability to be the best


@dataclass(frozen=True, kw_only=True, eq=False)
class Check:
    """One case's forecast against what came out. Arrays run over the starts in the forecast's order."""

    target_name: str
    budgets: str  # the case's budget class
    inside_N: Array  # 1 where the result lies in the interval
    expected_loss: float  # of the first start
    realised_loss: float
    p_best_N: Array
    best_N: Array  # 1 for the best start
    truth_N: Array

    @property
    def dead(self) -> bool:
        """True where not even the best start reached `DEAD`."""
        return float(self.truth_N.max()) < DEAD

    @property
    def num_tied(self) -> int:
        """Number of starts within `TIED` of the best, itself included."""
        return int((self.truth_N >= self.truth_N.max() - TIED).sum())

    @property
    def log_loss(self) -> float:
        """Minus the logarithm of the probability given to the start that was the best."""
        return float(-np.log(max(float(self.p_best_N @ self.best_N), SMALLEST_P)))

    @property
    def uniform_log_loss(self) -> float:
        """The log-loss of a forecast that knows nothing."""
        return float(np.log(len(self.p_best_N)))


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Starts whose probability to be the best lies between two values: what was claimed, and what came true."""

    low: float
    high: float
    count: int
    claimed: float
    true: float


def reliability(checks: Sequence[Check]) -> tuple[Bin, ...]:
    """The calibration table of p_best over all starts of all cases; empty bins are left out."""
    if not checks:
        return ()
    claimed = np.concatenate([check.p_best_N for check in checks])
    true = np.concatenate([check.best_N for check in checks])
    found = []
    for low, high in itertools.pairwise(BINS):
        rows = (claimed >= low) & ((claimed < high) | (high == BINS[-1]))
        if rows.any():
            found.append(
                Bin(
                    low=low,
                    high=high,
                    count=int(rows.sum()),
                    claimed=float(claimed[rows].mean()),
                    true=float(true[rows].mean()),
                )
            )
    return tuple(found)
