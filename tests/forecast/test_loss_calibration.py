"""The share of the forecast's certainty that comes true, on results drawn from a prior that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.forecast.kernel_inputs import kernel_inputs
from recommender.forecast.kernels import PriorScales
from recommender.forecast.loss_calibration import calibrated_scales
from recommender.forecast.policy import ExpectedGain, Race
from recommender.forecast.ranking import rank_starts
from recommender.forecast.situation import Observation
from tests.forecast.builders import profile, situation
from tests.forecast.test_prior_fitting import drawn

TRUE = PriorScales(start=0.04, start_on_similar=0.04, pair=0.03)


def share(runs: tuple[Observation, ...], scales: PriorScales) -> float:
    return learnt(runs, scales).loss_share


def learnt(runs: tuple[Observation, ...], scales: PriorScales) -> PriorScales:
    return calibrated_scales(kernel_inputs([run.situation for run in runs]), runs, scales)


def test_most_comes_true_where_the_spread_is_right_and_little_where_it_is_too_wide() -> None:
    runs = drawn(TRUE, targets=24)
    right = share(runs, TRUE)
    wide = share(runs, replace(TRUE, start_on_similar=0.16, pair=0.12, noise=0.072))
    assert right == pytest.approx(1.0, abs=0.25)
    assert wide < 0.6


def test_without_a_race_all_of_it_is_expected() -> None:
    runs = drawn(TRUE, targets=8)
    first_three = tuple(run for i, run in enumerate(runs) if i % 9 < 3)
    assert learnt(first_three, TRUE) == TRUE


def test_a_covariance_without_an_inverse_tells_nothing() -> None:
    beyond = replace(TRUE, across_checkpoints=9.0)  # correlations above 1
    assert learnt(drawn(TRUE, targets=8), beyond) == beyond


def test_a_start_that_saw_the_images_is_in_no_race() -> None:
    four = [run for i, run in enumerate(drawn(TRUE, targets=8)) if i % 9 < 4]
    assert learnt(tuple(four), TRUE) != TRUE
    seen = replace(four[0].situation.evidence, source_images_seen=1.0)
    three = [
        replace(run, situation=replace(run.situation, evidence=seen)) if i % 4 == 0 else run
        for i, run in enumerate(four)
    ]
    assert learnt(tuple(three), TRUE) == TRUE


@pytest.mark.slow
def test_intervals_narrow_where_results_lie_closer_than_the_spread_says_and_widen_where_further() -> None:
    runs = drawn(TRUE, targets=24)
    tails = [
        learnt(runs, replace(TRUE, level=TRUE.level * by, noise=TRUE.noise * by, pair=TRUE.pair * by)).tail
        for by in (2.0, 1.0, 0.25)
    ]
    assert tails[1] == pytest.approx(0.1, abs=0.05)  # 24 levels say no more
    assert tails[0] > 0.15
    assert tails[2] < min(0.1, tails[1])


def test_the_tail_moves_the_ends_of_every_interval_and_nothing_else() -> None:
    target = profile("target", 0.3)
    starts = [situation(target, profile(f"source{i}", 0.2 * i)) for i in range(5)]
    usual = rank_starts((), starts, scales=TRUE)
    narrow = rank_starts((), starts, scales=replace(TRUE, tail=0.2))
    for one, other in zip(usual, narrow, strict=True):
        assert one.score.low < other.score.low < other.score.mean < other.score.high < one.score.high
        for name in ("p_best", "expected_loss", "p_beats_first"):
            assert getattr(other, name) == getattr(one, name)
        assert other.score.mean == one.score.mean


def test_the_share_lowers_the_loss_of_every_start_alike() -> None:
    target = profile("target", 0.3)
    starts = [situation(target, profile(f"source{i}", 0.2 * i)) for i in range(5)]
    whole = rank_starts((), starts, scales=TRUE)
    half = rank_starts((), starts, scales=replace(TRUE, loss_share=0.5))
    assert half[0].expected_loss == pytest.approx(whole[0].expected_loss / 2)
    lost = [
        np.subtract([o.expected_loss for o in ranked], ranked[0].expected_loss) for ranked in (whole, half)
    ]
    np.testing.assert_allclose(lost[0], lost[1], atol=1e-9)
    assert [o.situation.start for o in half] == [o.situation.start for o in whole]


def test_trials_gain_no_more_than_the_share_that_comes_true() -> None:
    target = profile("target", 0.3)
    starts = tuple(situation(target, profile(f"source{i}", 0.2 * i)) for i in range(3))
    whole, half = (
        ExpectedGain(
            Race(history=(), candidates=starts, trial_epochs=10, scales=replace(TRUE, loss_share=share))
        )
        for share in (1.0, 0.5)
    )
    assert whole.of([0, 1, 2]) > 0
    assert half.of([0, 1, 2]) == pytest.approx(whole.of([0, 1, 2]) / 2)
