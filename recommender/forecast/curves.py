"""The expected end of a learning curve that broke off.

Trials keep the full run's schedule and stop early, so a trial's curve is the beginning of the full run's. How the
beginning maps to the end is estimated from the finished curves in the history: a straight line through (value after
`epochs`, value at the end), both on the arcsine square root scale, its offset left open for each target. Curves of
schedules about as long count, where there are enough: a tenth of a long schedule comes nearer to the end than the first
of ten epochs does, and tells less of what is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recommender.forecast.situation import Observation, PartialRun, Situation, to_scale
from recommender.records import EpochMetrics

DEFAULT_SLOPE = 0.7  # differences shrink while training goes on
USUAL_END = 0.75  # where runs usually end, on the arcsine square root scale: mAP 0.46
NOISE_A_DECADE = 0.06  # noise where no history tells: grows with the decades of epochs still to come
SCRATCH_NOISE = 0.15  # random weights start late: their early value says little
MIN_CURVES = 12
ALIKE_SCHEDULES = 3.0  # times longer or shorter: curves of such schedules count first


def best_so_far(curve: Sequence[EpochMetrics], epochs: int) -> float:
    """Best mAP50-95 within the first `epochs` epochs."""
    return max((point.score for point in curve if point.epoch <= epochs), default=0.0)


def at_full_budget(full: Situation, observation: Observation, history: Sequence[Observation]) -> Observation:
    """A run as evidence for its start at the full budget: as it is when it came that far, else as a beginning."""
    epochs = observation.run.curve[-1].epoch
    if epochs >= full.budget.epochs:
        return replace(observation, situation=full)
    partial = partial_run_of(
        history,
        target=full.target.dataset_hash,
        mode=full.start.mode,
        epochs=epochs,
        schedule_epochs=full.budget.epochs,
    )
    return replace(observation, situation=full, partial=partial)


def partial_run_of(
    history: Sequence[Observation], *, target: str, mode: str, epochs: int, schedule_epochs: int
) -> PartialRun:
    """The forecast of the finished run from one of `epochs` out of `schedule_epochs`.

    Fitted to curves of other targets at the same share of their schedule, first of schedules about as long; defaults
    where there are few.
    """
    group = f"{target} {epochs}/{schedule_epochs}"
    share = epochs / schedule_epochs
    scratch = SCRATCH_NOISE * (1 - share) if mode == "scratch" else 0.0
    alike = [
        one
        for one in history
        if max(one.situation.budget.epochs / schedule_epochs, schedule_epochs / one.situation.budget.epochs)
        <= ALIKE_SCHEDULES
    ]
    fitted = _fitted(alike, target, share, mode) or _fitted(history, target, share, mode)
    offset, slope, noise = fitted or _default(share)
    return PartialRun(group=group, offset=offset, slope=slope, noise=math.hypot(noise, scratch))


def _default(share: float) -> tuple[float, float, float]:
    slope = DEFAULT_SLOPE + (1 - DEFAULT_SLOPE) * share
    return (1 - slope) * USUAL_END, slope, NOISE_A_DECADE * math.log10(1 / share)


def _fitted(
    history: Sequence[Observation], target: str, share: float, mode: str
) -> tuple[float, float, float] | None:
    """Offset, slope and residual within targets and modes, or None with fewer than MIN_CURVES usable curves."""
    early, final, targets, modes = [], [], [], []
    for observation in history:
        situation, curve = observation.situation, observation.run.curve
        epochs = round(share * situation.budget.epochs)
        other = situation.target.dataset_hash != target and situation.start.mode != "scratch"
        if observation.partial is None and other and epochs >= 1 and len(curve) > epochs:
            early.append(to_scale(best_so_far(curve, epochs)))
            final.append(to_scale(observation.score))
            targets.append(situation.target.dataset_hash)
            modes.append(situation.start.mode)
    if len(early) < MIN_CURVES:
        return None
    groups = [f"{target} {mode}" for target, mode in zip(targets, modes, strict=True)]
    x, y = _within(early, groups), _within(final, groups)
    variation = float(x @ x)
    slope = float(x @ y) / variation if variation > 1e-9 else 0.0
    slope = min(1.2, max(0.05, slope))
    gained = np.asarray(final) - slope * np.asarray(early)
    # A frozen start learns faster at first and then stops: what is still to come depends on the mode.
    own = _within(gained, targets)[np.asarray(modes) == mode]
    offset = float(gained.mean()) + (float(own.mean()) if len(own) else 0.0)
    return offset, slope, float(np.sqrt(np.mean((y - slope * x) ** 2)))


def _within(values: Sequence[float] | NDArray[np.float64], groups: Sequence[str]) -> NDArray[np.float64]:
    array, keys = np.asarray(values), np.asarray(groups)
    centred = array.copy()
    for key in set(groups):
        centred[keys == key] -= array[keys == key].mean()
    return centred
