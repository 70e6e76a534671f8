"""The README's claim of whole trials, replayed over the shipped history."""

from __future__ import annotations

import pytest

from benchmarks.replay import POLICIES
from benchmarks.trial_cost import replayed
from recommender.forecast.history import builtin_observations

MOST_LOST = 0.02  # of the best result
MOST_SPENT = 0.25  # of training every start


@pytest.mark.slow
def test_whole_trials_find_a_start_close_to_the_best_for_a_quarter_of_training_all() -> None:
    observations = builtin_observations("detect")
    whole = replayed(POLICIES["forecast and whole trials"], observations)
    everything = replayed(POLICIES["brute force"], observations)
    assert whole.regrets_C.mean() <= MOST_LOST
    assert whole.costs_C.mean() <= MOST_SPENT * everything.costs_C.mean()
