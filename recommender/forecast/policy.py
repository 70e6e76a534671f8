"""The order of trials and when they stop. Pure: records in, decisions out; no clock, no cluster.

Trials are worth what they are expected to raise the final choice by, over the forecast's joint normal (expected value
of sample information: Raiffa & Schlaifer 1961), and they are worth it together: the first one by itself says next to
nothing, since what is still to come after a few epochs is common to all. So the next trial is the one that all that
are left would miss most for its cost, and all stop when all that are left are not worth the tolerance. A running
trial is stopped by successive halving with curve extrapolation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recommender.forecast.curves import at_full_budget, best_so_far, partial_run_of
from recommender.forecast.gaussian_process import Posterior, posterior
from recommender.forecast.kernels import PriorScales
from recommender.forecast.situation import Observation, Situation, from_scale, to_scale
from recommender.records import SCRATCH, EpochMetrics, Start

FROZEN_COST = 0.7  # a frozen backbone needs no backward pass; measured, see benchmarks/truth
HALVING = 3  # one in three survives a rung
DRAWS = 2000
LOWEST = 0.05  # mAP50-95: where the best is expected below this, gains are compared with this
STEP = 1e-3  # of the model's scale, for a derivative
SCRATCH_PATIENCE = 0.6  # share of its epochs before which scratch is never stopped


@dataclass(frozen=True, kw_only=True, eq=False)
class Race:
    """All a decision needs: what is known, who runs, what was tried."""

    history: tuple[Observation, ...]
    candidates: tuple[Situation, ...]  # at the full budget; scratch among them
    trials: tuple[Observation, ...] = ()  # finished or broken off, on this target
    running: tuple[Start, ...] = ()
    trial_epochs: int = 5
    tolerance: float = 0.01  # share of the expected best mAP50-95 that the user does not care about
    scales: PriorScales = field(default_factory=PriorScales)


@dataclass(frozen=True, kw_only=True)
class NextTrial:
    """The next trial, and what it is worth."""

    start: Start
    expected_gain: (
        float  # of the final choice, relative: what all that are left would be worth less without it
    )
    relative_cost: float


def current_forecast(race: Race) -> Posterior:
    """The forecast after all trials so far."""
    return posterior((*race.history, *race.trials), race.candidates, race.scales)


def next_trial(race: Race) -> NextTrial | None:
    """The trial that those left would miss most for its cost, or None when together they are not worth the tolerance.

    COCO, the static favourite and scratch stay in the race like all others: nothing is pruned, only not yet chosen.
    """
    left, running = _untried(race), _running(race)
    value = ExpectedGain(race)
    most = value.of([*running, *left])
    if not left or most - value.of(running) <= race.tolerance:
        return None
    choices = [
        NextTrial(
            start=race.candidates[i].start,
            expected_gain=most - value.of([*running, *(other for other in left if other != i)]),
            relative_cost=relative_cost(race.candidates[i]),
        )
        for i in left
    ]
    return max(choices, key=lambda c: (c.expected_gain / c.relative_cost, str(c.start)))


class ExpectedGain:
    """The expected gain of the final choice by trials, as a share of it. The same draws for every set."""

    def __init__(self, race: Race) -> None:
        self._race = race
        self._belief = current_forecast(race)
        self._share = race.scales.loss_share
        size = len(race.candidates)
        self._noise_N = np.array([_trial_noise(race, candidate) for candidate in race.candidates])
        whole = all(race.trial_epochs >= candidate.budget.epochs for candidate in race.candidates)
        self._offset = (
            0.0 if whole else race.scales.offset
        )  # what is still to come is common to all that break off
        rng = np.random.default_rng(0)
        surprise_SN = self._belief.draws(DRAWS, seed=0) - self._belief.mean_N
        shared_S1 = self._offset * rng.standard_normal((DRAWS, 1))
        self._seen_SN = surprise_SN + shared_S1 + np.sqrt(self._noise_N) * rng.standard_normal((DRAWS, size))

    def of(self, trials: Sequence[int]) -> float:
        """Expected best mean once these have ended, above the best mean of today."""
        if not trials:
            return 0.0
        rows_TN = self._belief.covariance_NN[trials]
        seen_TT = rows_TN[:, trials] + np.diag(self._noise_N[trials]) + self._offset**2
        means_SN = self._belief.mean_N + self._seen_SN[:, trials] @ np.linalg.solve(seen_TT, rows_TN)
        favourite = int(self._belief.mean_N.argmax())
        # Against today's favourite in the same draw, which is its mean on average: never below zero.
        # No more than the loss that it makes good, of which the same share comes true.
        gain = self._share * float((means_SN.max(axis=1) - means_SN[:, favourite]).mean())
        best = max(float(self._belief.mean_N[favourite]), to_scale(LOWEST))
        step = np.array([best - STEP, best, best + STEP])
        low, middle, high = from_scale(step).tolist()
        return float(
            gain * (high - low) / (2 * STEP) / middle
        )  # from the model's scale to a share of the score


def _untried(race: Race) -> list[int]:
    known = {o.situation.start for o in race.trials} | set(race.running)
    return [i for i, candidate in enumerate(race.candidates) if candidate.start not in known]


def _running(race: Race) -> list[int]:
    return [i for i, candidate in enumerate(race.candidates) if candidate.start in race.running]


def _trial_noise(race: Race, candidate: Situation) -> float:
    """Variance of what a trial says of the full run, beside the offset that trials share."""
    partial = partial_run_of(
        race.history,
        target=candidate.target.dataset_hash,
        mode=candidate.start.mode,
        epochs=min(race.trial_epochs, candidate.budget.epochs),
        schedule_epochs=candidate.budget.epochs,
    )
    return race.scales.noise**2 + partial.noise**2


def relative_cost(candidate: Situation) -> float:
    """Cost of a trial relative to a full-mode YOLO11n of the same data and epochs."""
    size = (candidate.checkpoint.num_parameters or 2_600_000) if candidate.checkpoint else 2_600_000
    return size / 2_600_000 * (FROZEN_COST if candidate.start.mode == "freeze" else 1.0)


def keep_running(
    curve: Sequence[EpochMetrics], rivals: Sequence[Sequence[EpochMetrics]], *, start: Start, epochs: int
) -> bool:
    """True if a trial of `epochs` epochs should go on after the last point of its curve.

    Judged at a third and at two thirds of its epochs, against rivals that came as far: it stops when it is not among
    the best third and its extrapolation does not reach the best of them either.
    """
    done = curve[-1].epoch if curve else 0
    rungs = {max(1, round(epochs / 3)), max(1, round(2 * epochs / 3))}
    if done not in rungs or (start.checkpoint == SCRATCH and done < SCRATCH_PATIENCE * epochs):
        return True
    there = sorted((best_so_far(r, done) for r in rivals if r and r[-1].epoch >= done), reverse=True)
    if len(there) < 2:
        return True
    survivors = max(1, math.ceil((len(there) + 1) / HALVING))
    if best_so_far(curve, done) >= there[survivors - 1]:
        return True
    return extrapolate(curve, epochs) >= there[0]


def extrapolate(curve: Sequence[EpochMetrics], epochs: int) -> float:
    """Hopeful value at `epochs`: a line through the later half of the curve against log epochs, never falling."""
    last = best_so_far(curve, curve[-1].epoch)
    half = [point for point in curve if 2 * point.epoch >= curve[-1].epoch]
    if len(half) < 2:
        return min(1.0, 2 * last)  # one point: anything up to twice as good is possible
    x = np.log([point.epoch for point in half])
    y = np.array([point.score for point in half])
    slope = max(0.0, float(np.polyfit(x, y, 1)[0]))
    return min(1.0, last + slope * math.log(epochs / curve[-1].epoch))


def as_trial(observation: Observation, race: Race) -> Observation:
    """A run that broke off, as evidence for its candidate at the full budget."""
    full = next(c for c in race.candidates if c.start == observation.situation.start)
    return at_full_budget(full, observation, race.history)
