"""The order of trials and when they stop. Pure: records in, decisions out; no clock, no cluster.

A trial that is a whole training shows what its start gives: the best of them is kept. To open such boxes, each at its
price, is Weitzman's problem (1979): every start has an index, the result in hand at which it would no longer be worth
its price; the highest index is trained next, and all stop when the result in hand exceeds all indices (as in
Bayesian optimisation by Xie et al. 2024).

A trial that breaks off says little by itself, since what is still to come is common to all. Such trials are worth
together what they are expected to raise the final choice by, over the forecast's joint normal (expected value of sample
information: Raiffa & Schlaifer 1961): the next one is the one that all that are left would miss most for its cost,
and all stop when all that are left are not worth the tolerance. While it runs, such a trial is stopped by successive
halving with curve extrapolation; a whole training is not, since what its beginning shows is mostly noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recommender.forecast.curves import at_full_budget, best_so_far, partial_run_of
from recommender.forecast.gaussian_process import Posterior, error_of_results, posterior, result_of
from recommender.forecast.kernels import Matrix, PriorScales
from recommender.forecast.situation import Observation, Situation, from_scale, to_scale
from recommender.records import SCRATCH, EpochMetrics, Start

FROZEN_COST = 0.7  # a frozen backbone needs no backward pass; measured, see benchmarks/truth
HALVING = 3  # one in three survives a rung
DRAWS = 2000
LOWEST = 0.05  # mAP50-95: where the best is expected below this, gains are compared with this
BISECTIONS = 30
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
    # Share of the best score: price of a whole trial; least worth of all that break off.
    tolerance: float = 0.01
    scales: PriorScales = field(default_factory=PriorScales)


@dataclass(frozen=True, kw_only=True)
class NextTrial:
    """The next trial, and what it is worth."""

    start: Start
    # Of the final choice, relative: above what is in hand, or before any trial above what the favourite is expected to
    # reach; of trials that break off, what the others would miss.
    expected_gain: float
    relative_cost: float


def current_forecast(race: Race) -> Posterior:
    """The forecast after all trials so far."""
    return posterior((*race.history, *race.trials), race.candidates, race.scales)


def next_trial(race: Race) -> NextTrial | None:
    """The trial to begin next, or None when none is worth its cost.

    COCO, the static favourite and scratch stay in the race like all others: nothing is pruned, only not yet chosen.
    """
    return _next_training(race) if are_whole(race) else _next_beginning(race)


def are_whole(race: Race) -> bool:
    """True where trials are as long as full trainings."""
    return all(race.trial_epochs >= candidate.budget.epochs for candidate in race.candidates)


def forecast_of_trainings(race: Race) -> Posterior:
    """The forecast of one training of each candidate with the trials' seed: known where a trial was whole.

    Results differ less than joint normal draws do, by the share of the expected loss that comes true.
    """
    scales = race.scales
    prior = posterior(race.history, race.candidates, scales).of_one_training(scales)
    places = {candidate.start: i for i, candidate in enumerate(race.candidates)}
    tried = [places[trial.situation.start] for trial in race.trials]
    mean_N, covariance_NN = prior.mean_N, prior.covariance_NN
    if tried:
        results_T = np.array([result_of(trial) for trial in race.trials])
        shared_TN = covariance_NN[tried]
        # Which low results were to be expected, the history and the other trials tell together.
        errors_RR = error_of_results((*race.history, *race.trials), scales)
        seen_TT = shared_TN[:, tried] + errors_RR[-len(tried) :, -len(tried) :]
        solved_TN = np.linalg.solve(seen_TT, shared_TN)
        mean_N = mean_N + (results_T - mean_N[tried]) @ solved_TN
        covariance_NN = covariance_NN - shared_TN.T @ solved_TN
    return replace(prior, mean_N=mean_N, covariance_NN=scales.loss_share**2 * covariance_NN)


def worth_training(race: Race) -> tuple[int, ...]:
    """The favourite, and the untried candidates that would still be trained if it came out as expected."""
    belief, left = forecast_of_trainings(race), _untried(race)
    expected_L = belief.expected_scores()[left]
    favourite = left[int(expected_L.argmax())]
    indices_L = _indices_of(race, belief, left, float(expected_L.max()))
    return tuple(
        i for i, index in zip(left, indices_L, strict=True) if i == favourite or index > expected_L.max()
    )


def _next_training(race: Race) -> NextTrial | None:
    """The untried start of the highest index, unless what is in hand exceeds it.

    What runs already counts with its expected result. The favourite will be trained in any case, so trials begin only
    where a second training may be worth its cost.
    """
    left, belief = _untried(race), forecast_of_trainings(race)
    expected_N = belief.expected_scores()
    in_hand = [trial.score for trial in race.trials if trial.partial is None]
    in_hand += [float(expected_N[i]) for i in _running(race)]
    if not left or (not in_hand and len(worth_training(race)) == 1):
        return None
    to_beat = max(in_hand) if in_hand else float(expected_N[left].max())
    indices_L = _indices_of(race, belief, left, to_beat)
    first = max(range(len(left)), key=lambda i: (indices_L[i], str(race.candidates[left[i]].start)))
    if in_hand and indices_L[first] <= to_beat:
        return None
    gain = float(expected_excess(belief, [left[first]], np.array([to_beat]))[0])
    candidate = race.candidates[left[first]]
    return NextTrial(
        start=candidate.start,
        expected_gain=gain / max(to_beat, LOWEST),
        relative_cost=relative_cost(candidate),
    )


def _indices_of(race: Race, belief: Posterior, places: Sequence[int], best: float) -> Matrix:
    """The index of each of L candidates, where a full training costs the tolerance's share of the best score."""
    costs_L = np.array([relative_cost(race.candidates[i]) for i in places])
    return indices(belief, places, race.tolerance * max(best, LOWEST) * costs_L)


def indices(belief: Posterior, places: Sequence[int], prices_L: Matrix) -> Matrix:
    """Weitzman's index of each of L starts: the score in hand at which its expected excess is just its price."""
    low_L, high_L = np.full(len(places), -1.0), np.ones(len(places))
    for _ in range(BISECTIONS):
        middle_L = (low_L + high_L) / 2
        pays_L = expected_excess(belief, places, middle_L) > prices_L
        low_L, high_L = np.where(pays_L, middle_L, low_L), np.where(pays_L, high_L, middle_L)
    return low_L


def expected_excess(belief: Posterior, places: Sequence[int], in_hand_L: Matrix) -> Matrix:
    """The mean of what the score of each of L starts exceeds the score in hand by, 0 where it does not."""
    scores_LQ, weights_Q = belief.score_nodes(places)
    excess_L: Matrix = np.maximum(scores_LQ - in_hand_L[:, None], 0.0) @ weights_Q
    return excess_L


def _next_beginning(race: Race) -> NextTrial | None:
    """The trial that those left would miss most for its cost, or None when together not worth the tolerance."""
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
    """The expected gain of the final choice by trials that break off, as a share of it: the same draws for all."""

    def __init__(self, race: Race) -> None:
        self._race = race
        self._belief = current_forecast(race)
        self._share = race.scales.loss_share
        size = len(race.candidates)
        self._noise_N = np.array([_trial_noise(race, candidate) for candidate in race.candidates])
        self._offset = race.scales.offset  # what is still to come is common to all
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
