"""The epoch at which scratch reaches the best pretrained start: seen, extrapolated with an interval, or not at all.

The extrapolation fits a saturating power law, a − b·epoch^(−c) (Domhan et al. 2015), to the part of scratch's curve
in which it learns. Resampled seeds and residuals give the interval. It knows the schedule that was run: a longer
one lowers the learning rate later and usually ends higher, so the interval is a guide, not a promise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recommender.records import EpochMetrics

Array = NDArray[np.float64]

LEVEL = 0.8
NUM_DRAWS = 300
HORIZON = 10  # times the budget: beyond it nothing is claimed
MIN_POINTS = 6  # of scratch's curve once it learns, to fit three numbers
LEARNS = 0.1  # of the goal: a curve that stayed below has hardly begun
DECAYS_C = np.geomspace(0.05, 3.0, 120)  # the exponents tried


@dataclass(frozen=True, kw_only=True)
class CatchUp:
    """`epoch` is seen or expected; `high` None lies beyond the horizon."""

    kind: Literal["reached", "extrapolated", "not within your budget", "too early to say"]
    goal: float  # score of the best pretrained start
    reached: float  # best score of scratch
    budget: int  # epochs that were trained
    epoch: float | None = None
    low: float | None = None
    high: float | None = None
    share_never: float | None = None  # of the draws that do not get there within the horizon


def catch_up(
    scratch: Sequence[Sequence[EpochMetrics]],
    rival: Sequence[Sequence[EpochMetrics]],
    *,
    budget: int,
    seed: int = 0,
) -> CatchUp:
    """Compare scratch's curves with the final level of the best pretrained start's, one curve a seed."""
    goals = np.array([max(point.score for point in curve) for curve in rival])
    goal = float(goals.mean())
    curves = [np.array([point.score for point in curve]) for curve in scratch]
    mean_E = _mean_so_far(curves)
    reached = float(mean_E.max())
    blank = CatchUp(kind="too early to say", goal=goal, reached=reached, budget=budget)
    if reached >= goal:
        each = [_first(_so_far(curve), goal) for curve in curves]
        seen = sorted(epoch for epoch in each if epoch is not None)
        epoch = float(_first(mean_E, goal) or budget)
        low = min([epoch, *seen])
        return replace(blank, kind="reached", epoch=epoch, low=low, high=max([epoch, *seen]), share_never=0.0)
    begins = int(np.argmax(mean_E >= LEARNS * goal)) if reached >= LEARNS * goal else len(mean_E)
    if len(mean_E) - begins < MIN_POINTS:
        return blank
    # One that stopped early keeps its best: cut to the shortest, the others' later epochs would tell nothing.
    whole = [np.pad(curve, (0, len(mean_E) - len(curve)), constant_values=curve.max()) for curve in curves]
    draws = _draws(np.stack(whole)[:, begins:], goals, begins, HORIZON * budget, seed)
    never = float(np.isinf(draws).mean())
    low, middle, high = np.quantile(draws, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], method="higher")
    # Before the budget's end it was not there: what was seen bounds what is drawn.
    low, middle, high = (max(value, budget + 1.0) for value in (low, middle, high))
    if np.isinf(middle):
        return replace(blank, kind="not within your budget", low=_finite(low), share_never=never)
    return replace(
        blank,
        kind="extrapolated",
        epoch=float(middle),
        low=_finite(low),
        high=_finite(high),
        share_never=never,
    )


def fit_power_law(epochs_E: Array, values_E: Array) -> tuple[float, float, float]:
    """a, b, c of a − b·epoch^(−c), by least squares with b ≥ 0 and a ≤ 1: a line for each c, the best of them."""
    x_CE = epochs_E[None, :] ** -DECAYS_C[:, None]
    centred_CE = x_CE - x_CE.mean(axis=1, keepdims=True)
    b_C = np.maximum(0.0, -(centred_CE @ values_E) / np.sum(centred_CE**2, axis=1))
    a_C = values_E.mean() + b_C * x_CE.mean(axis=1)
    capped_C = np.maximum(0.0, (x_CE @ (1.0 - values_E)) / np.sum(x_CE**2, axis=1))
    b_C, a_C = np.where(a_C > 1.0, capped_C, b_C), np.minimum(a_C, 1.0)
    error_C = np.sum((a_C[:, None] - b_C[:, None] * x_CE - values_E) ** 2, axis=1)
    best = int(np.argmin(error_C))
    return float(a_C[best]), float(b_C[best]), float(DECAYS_C[best])


def _draws(curves_SE: Array, goals: Array, begins: int, horizon: int, seed: int) -> Array:
    """Catch-up epochs of bootstrap samples of seeds, residuals and the goal; infinite beyond the horizon."""
    random = np.random.default_rng(seed)
    num_seeds, length = curves_SE.shape
    epochs_E = np.arange(begins + 1, begins + length + 1, dtype=np.float64)
    found = np.full(NUM_DRAWS, np.inf)
    for i in range(NUM_DRAWS):
        chosen = curves_SE[random.integers(0, num_seeds, num_seeds)].mean(axis=0)
        a, b, c = fit_power_law(epochs_E, chosen)
        fitted_E = a - b * epochs_E**-c
        # Three numbers were fitted, so the residuals are that much too small.
        residual_E = random.choice(chosen - fitted_E, length) * np.sqrt(length / max(1, length - 3))
        a, b, c = fit_power_law(epochs_E, fitted_E + residual_E)
        goal = float(random.choice(goals, len(goals)).mean())
        if a > goal and b > 0:
            epoch = (b / (a - goal)) ** (1 / c)
            found[i] = epoch if epoch <= horizon else np.inf
    return found


def _so_far(values_E: Array) -> Array:
    best: Array = np.maximum.accumulate(values_E)
    return best


def _mean_so_far(curves: Sequence[Array]) -> Array:
    """Best so far, averaged over seeds; a curve that stopped early keeps its best."""
    longest = max(len(curve) for curve in curves)
    padded = [np.pad(_so_far(curve), (0, longest - len(curve)), mode="edge") for curve in curves]
    mean: Array = np.mean(padded, axis=0)
    return mean


def _first(values_E: Array, goal: float) -> int | None:
    above = np.flatnonzero(values_E >= goal)
    return int(above[0]) + 1 if len(above) else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
