"""Trial policies replayed over recorded runs, in virtual time: what each would have spent, and chosen.

A trial that breaks off after e epochs of an E-epoch schedule is the first e points of the recorded curve, because
trials keep the full run's schedule. Cost is counted in full-mode runs of the same schedule; the regret of a choice is
the best recorded result minus that of the choice, on one seed, as brute force would see it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recommender.forecast.backtest import BacktestCase
from recommender.forecast.curves import best_so_far
from recommender.forecast.policy import (
    Race,
    are_whole,
    as_trial,
    current_forecast,
    keep_running,
    next_trial,
    relative_cost,
)
from recommender.forecast.prior_fitting import fitted_scales
from recommender.forecast.situation import Observation
from recommender.records import EpochMetrics, Run


@dataclass(frozen=True, kw_only=True)
class ReplayStep:
    """After spending `cost` full runs the policy would choose start number `choice`."""

    cost: float
    choice: int


Policy = Callable[[BacktestCase, Sequence[Observation], int], list[ReplayStep]]


def forecast_only(case: BacktestCase, runs: Sequence[Observation], seed: int) -> list[ReplayStep]:
    """The forecast's first start, without any trial."""
    mean = current_forecast(_race(case)).mean_N
    return [ReplayStep(cost=0.0, choice=int(mean.argmax()))]


def trials_by_gain(
    case: BacktestCase, runs: Sequence[Observation], seed: int, *, share: float = 1 / 3
) -> list[ReplayStep]:
    """Our policy: trials of a share of the schedule, the most valuable first, until none left is worth it.

    Whole trials end with the best of them trained; where none was worth it, the forecast's favourite is.
    """
    epochs = case.candidates[0].budget.epochs
    trial_epochs = max(1, round(share * epochs))
    race = replace(_race(case), trial_epochs=trial_epochs)
    steps = forecast_only(case, runs, seed)
    cost = 0.0
    curves: list[tuple[EpochMetrics, ...]] = []
    tried: list[int] = []
    while (choice := next_trial(race)) is not None:
        number = next(i for i, c in enumerate(case.candidates) if c.start == choice.start)
        curve = _cut(runs[number].run.curve, trial_epochs, curves, race, number)
        curves.append(curve)
        cost += len(curve) / epochs * relative_cost(case.candidates[number])
        broken_off = replace(runs[number], run=_with_curve(runs[number], curve))
        race = replace(race, trials=(*race.trials, as_trial(broken_off, race)))
        tried.append(number)
        best = max(tried, key=lambda i: runs[i].score)
        chosen = best if are_whole(race) else int(current_forecast(race).mean_N.argmax())
        steps.append(ReplayStep(cost=cost, choice=chosen))
    if are_whole(race) and not race.trials:
        steps.append(replace(steps[-1], cost=relative_cost(case.candidates[steps[-1].choice])))
    return steps


def brute_force(case: BacktestCase, runs: Sequence[Observation], seed: int) -> list[ReplayStep]:
    """Every start to its end, in the order of a coin; the best so far is the choice."""
    return _in_order(case, runs, np.random.default_rng(seed).permutation(len(runs)).tolist())


def by_forecast(
    case: BacktestCase, runs: Sequence[Observation], seed: int, *, count: int | None = None
) -> list[ReplayStep]:
    """The forecast's favourites to their end, `count` of them or all."""
    mean = current_forecast(_race(case)).mean_N
    return _in_order(case, runs, np.argsort(-mean).tolist()[:count])


def successive_halving(
    case: BacktestCase, runs: Sequence[Observation], seed: int, *, factor: int = 3
) -> list[ReplayStep]:
    """Plain asynchronous successive halving (Li et al. 2020) as Ray ships it, one worker, grace of one epoch."""
    epochs = case.candidates[0].budget.epochs
    rungs = [factor**i for i in range(int(math.log(epochs, factor)) + 1) if factor**i < epochs]
    recorded: dict[int, list[float]] = {rung: [] for rung in rungs}
    best, choice, cost, steps = -1.0, 0, 0.0, []
    for number in np.random.default_rng(seed).permutation(len(runs)):
        done = _halved(runs[number].run.curve, epochs, rungs, recorded, factor)
        cost += done / epochs * relative_cost(case.candidates[number])
        reached = best_so_far(runs[number].run.curve, done)
        if reached > best:
            best, choice = reached, int(number)
        steps.append(ReplayStep(cost=cost, choice=choice))
    return steps


POLICIES: dict[str, Policy] = {
    "forecast alone": forecast_only,
    "forecast and trials of a third": trials_by_gain,
    "forecast and whole trials": functools.partial(trials_by_gain, share=1.0),
    **{f"the first {count} whole": functools.partial(by_forecast, count=count) for count in (2, 3, 4)},
    "forecast order, full runs": by_forecast,
    "successive halving": successive_halving,
    "brute force": brute_force,
}


def one_seed(case: BacktestCase, observations: Sequence[Observation]) -> list[Observation]:
    """For each candidate its recorded run with the lowest seed, at the case's budget."""
    found = []
    for candidate in case.candidates:
        own = [
            o
            for o in observations
            if o.situation.target.dataset_hash == case.target
            and o.situation.start == candidate.start
            and o.situation.budget == candidate.budget
            and o.situation.num_train_images == candidate.num_train_images
        ]
        found.append(min(own, key=lambda o: o.run.recipe.seed))
    return found


def _race(case: BacktestCase) -> Race:
    return Race(history=case.history, candidates=case.candidates, scales=fitted_scales(tuple(case.history)))


def _cut(
    curve: Sequence[EpochMetrics],
    trial_epochs: int,
    rivals: Sequence[Sequence[EpochMetrics]],
    race: Race,
    number: int,
) -> tuple[EpochMetrics, ...]:
    if are_whole(race):
        return tuple(curve)
    start = race.candidates[number].start
    for done in range(1, min(trial_epochs, len(curve)) + 1):
        if not keep_running(curve[:done], rivals, start=start, epochs=trial_epochs):
            return tuple(curve[:done])
    return tuple(curve[:trial_epochs])


def _with_curve(observation: Observation, curve: tuple[EpochMetrics, ...]) -> Run:
    best = max(curve, key=lambda point: point.score)
    return replace(observation.run, curve=curve, best=best)


def _in_order(case: BacktestCase, runs: Sequence[Observation], order: Sequence[int]) -> list[ReplayStep]:
    steps, cost, best, choice = [], 0.0, -1.0, 0
    for number in order:
        cost += relative_cost(case.candidates[number])
        if runs[number].score > best:
            best, choice = runs[number].score, int(number)
        steps.append(ReplayStep(cost=cost, choice=choice))
    return steps


def _halved(
    curve: Sequence[EpochMetrics],
    epochs: int,
    rungs: Sequence[int],
    recorded: dict[int, list[float]],
    factor: int,
) -> int:
    """The number of epochs that the run is granted; its value at each rung it reaches is recorded."""
    for rung in rungs:
        value = best_so_far(curve, rung)
        recorded[rung].append(value)
        cutoff = float(np.quantile(recorded[rung], 1 - 1 / factor))
        if value < cutoff:
            return rung
    return epochs
