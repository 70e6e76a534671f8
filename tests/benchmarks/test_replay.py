"""Policies replayed in virtual time, on a world whose law is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.replay import (
    POLICIES,
    ReplayStep,
    brute_force,
    one_seed,
    successive_halving,
    trials_by_gain,
)
from recommender.forecast.backtest import cases
from recommender.forecast.situation import Observation
from tests.forecast.test_backtest import world
from tests.store.builders import point

EPOCHS = 9


def with_curves() -> list[Observation]:
    """The world of the backtest, every run with a curve that rises to its result by the square root."""
    found = []
    for observation in world(6):
        end = observation.score
        curve = tuple(point(epoch, end * (epoch / EPOCHS) ** 0.5) for epoch in range(1, EPOCHS + 1))
        situation = replace(
            observation.situation, budget=replace(observation.situation.budget, epochs=EPOCHS)
        )
        run = replace(
            observation.run,
            curve=curve,
            best=curve[-1],
            recipe=replace(observation.run.recipe, epochs=EPOCHS),
        )
        found.append(replace(observation, situation=situation, run=run))
    return found


OBSERVATIONS = with_curves()
CASES = cases(OBSERVATIONS)


def regret(step: ReplayStep, runs: list[Observation]) -> float:
    results = [run.score for run in runs]
    return max(results) - results[step.choice]


def test_brute_force_pays_for_everything_and_regrets_nothing() -> None:
    runs = one_seed(CASES[0], OBSERVATIONS)
    steps = brute_force(CASES[0], runs, 0)
    assert steps[-1].cost == pytest.approx(len(runs))
    assert regret(steps[-1], runs) == 0


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_costs_only_grow_and_choices_exist(name: str) -> None:
    runs = one_seed(CASES[1], OBSERVATIONS)
    steps = POLICIES[name](CASES[1], runs, 0)
    costs = [step.cost for step in steps]
    assert costs == sorted(costs)
    assert all(0 <= step.choice < len(runs) for step in steps)


def test_our_trials_end_where_brute_force_ends_for_a_fraction_of_its_cost() -> None:
    for case in CASES:
        runs = one_seed(case, OBSERVATIONS)
        ours, theirs = trials_by_gain(case, runs, 0)[-1], brute_force(case, runs, 0)[-1]
        assert regret(ours, runs) <= 0.02
        assert ours.cost < theirs.cost / 3


def test_successive_halving_spends_less_than_brute_force() -> None:
    runs = one_seed(CASES[0], OBSERVATIONS)
    assert successive_halving(CASES[0], runs, 0)[-1].cost < len(runs)
