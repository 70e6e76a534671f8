"""The decision: one order for rank, loss and probability, the tied starts, and the runs the answer rests on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.isotonic import isotonic_regression

from recommender.forecast.decision import TIED_LOSS, decide
from recommender.forecast.gaussian_process import posterior
from recommender.forecast.influence import runs_used
from recommender.forecast.kernels import PriorScales
from recommender.forecast.ranking import StartForecast, isotonic_decreasing, rank_starts
from recommender.forecast.situation import Situation, from_scale
from recommender.records import Start
from tests.forecast.builders import observation, profile, situation

TARGET = profile("target", 0.0)
SIMILAR, TWIN, UNRELATED = profile("near", 0.1), profile("twin", 0.12), profile("unrelated", 2.5)


def race() -> list[Situation]:
    return [situation(TARGET, source) for source in (UNRELATED, None, SIMILAR, TWIN)]


def past(results: dict[str, float]) -> list:  # type: ignore[type-arg]
    sources = {"near": SIMILAR, "twin": TWIN, "unrelated": UNRELATED, "scratch": None}
    targets = [profile(f"past{i}", 0.2 * i) for i in range(4)]
    return [
        observation(situation(target, sources[name]), score)
        for target in targets
        for name, score in results.items()
    ]


def test_rank_loss_and_probability_share_one_order() -> None:
    ranked = rank_starts([], race())
    losses = [forecast.expected_loss for forecast in ranked]
    chances = [forecast.p_best for forecast in ranked]
    assert losses == sorted(losses)
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1.0)


def test_probabilities_in_the_wrong_order_are_pooled() -> None:
    np.testing.assert_allclose(isotonic_decreasing(np.array([0.3, 0.4, 0.1, 0.2])), [0.35, 0.35, 0.15, 0.15])
    np.testing.assert_allclose(isotonic_decreasing(np.array([0.5, 0.3, 0.2])), [0.5, 0.3, 0.2])
    np.testing.assert_allclose(isotonic_decreasing(np.array([0.1, 0.2, 0.6])), [0.3, 0.3, 0.3])
    values = np.random.default_rng(0).uniform(size=50)
    np.testing.assert_allclose(isotonic_decreasing(values), isotonic_regression(values, increasing=False))


def test_the_expected_loss_of_the_first_is_that_of_the_decision() -> None:
    ranked = rank_starts([], race())
    decision = decide(ranked, [])
    assert decision.start == ranked[0].situation.start
    assert decision.expected_loss == ranked[0].expected_loss
    assert decision.num_starts == len(ranked)


def test_twins_are_tied_and_a_start_that_always_failed_is_not() -> None:
    history = past({"near": 0.50, "twin": 0.50, "unrelated": 0.2, "scratch": 0.05})
    decision = decide(rank_starts(history, race()), history)
    assert {str(start) for start in decision.tied} == {"near:full", "twin:full"}
    assert decision.start in decision.tied


def tied_pair(first: Situation, second: Situation) -> list[StartForecast]:
    ranked = rank_starts([], [first, second])
    return [replace(forecast, p_beats_first=0.5, expected_loss=0.01) for forecast in ranked]


def test_among_tied_starts_full_training_then_the_licence_then_the_size_decide() -> None:
    full, frozen = situation(TARGET, SIMILAR), situation(TARGET, SIMILAR, mode="freeze")
    assert decide(tied_pair(frozen, full), []).tied[0] == Start(checkpoint="near", mode="full")
    closed = situation(TARGET, TWIN)
    assert closed.checkpoint is not None
    closed = replace(closed, checkpoint=replace(closed.checkpoint, licence="AGPL-3.0-or-later"))
    assert decide(tied_pair(closed, full), []).tied[0].checkpoint == "near"
    large = situation(TARGET, TWIN)
    assert large.checkpoint is not None
    large = replace(large, checkpoint=replace(large.checkpoint, num_parameters=25_000_000))
    assert decide(tied_pair(large, full), []).tied[0].checkpoint == "near"


def test_a_start_that_loses_more_than_a_seed_does_is_not_tied() -> None:
    first, second = rank_starts([], [situation(TARGET, SIMILAR), situation(TARGET, TWIN)])
    far = replace(second, p_beats_first=0.4, expected_loss=first.expected_loss + TIED_LOSS + 0.01)
    assert len(decide([first, far], []).tied) == 1


def test_trials_are_worth_something_where_starts_may_differ_and_nothing_where_one_is_left() -> None:
    wide = PriorScales(pair=0.15)
    candidates = [situation(TARGET, SIMILAR), situation(TARGET, TWIN)]
    ranked = rank_starts([], candidates, scales=wide)
    hours = {candidate.start: 2.0 for candidate in candidates}
    value = decide(ranked, [], scales=wide, hours=hours).trials
    assert value is not None
    assert 0.02 < value.gain < 0.15
    assert (value.cost, value.hours) == (2.0, 4.0)
    assert decide(ranked[:1], [], scales=wide).trials is None


def test_no_training_is_offered_once_one_of_the_leaders_was_trained() -> None:
    wide = PriorScales(pair=0.15)
    candidates = [situation(TARGET, SIMILAR), situation(TARGET, TWIN)]
    elsewhere = [observation(situation(profile("past", 0.2), SIMILAR), 0.5)]
    assert decide(rank_starts(elsewhere, candidates, scales=wide), elsewhere, scales=wide).trials is not None
    trained = [*elsewhere, observation(candidates[1], 0.5)]
    assert decide(rank_starts(trained, candidates, scales=wide), trained, scales=wide).trials is None


def test_the_effect_of_a_run_is_what_leaving_it_out_changes() -> None:
    own = observation(situation(TARGET, SIMILAR, epochs=50), 0.7)
    history = [*past({"near": 0.4, "unrelated": 0.3}), own]
    asked = situation(TARGET, SIMILAR)
    used = runs_used(history, asked)
    assert used[0].run == own.run.id
    assert used[0].same_target
    with_it, without = (posterior(known, [asked]).mean_N[0] for known in (history, history[:-1]))
    assert used[0].effect == pytest.approx(float(from_scale(with_it) - from_scale(without)))


def test_without_history_nothing_is_rested_on() -> None:
    assert runs_used([], situation(TARGET, SIMILAR)) == ()
