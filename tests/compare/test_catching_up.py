"""The catch-up epoch: seen where it was reached, recovered from known curves, honest where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.comparison.catching_up import catch_up, fit_power_law
from recommender.comparison.summary import catch_up_text
from tests.compare.builders import curve


def power_law(a: float, b: float, c: float, epochs: int, noise: float = 0.0, seed: int = 0) -> list[float]:
    random = np.random.default_rng(seed)
    return [float(a - b * e**-c + noise * random.normal()) for e in range(1, epochs + 1)]


def test_fit_recovers_a_power_law() -> None:
    epochs = np.arange(1.0, 31.0)
    a, b, c = fit_power_law(epochs, 0.5 - 0.4 * epochs**-0.65)
    assert (a, b, c) == pytest.approx((0.5, 0.4, 0.65), abs=0.03)


def test_reached_epoch_is_the_mean_curves() -> None:
    found = catch_up([curve([0.1, 0.3, 0.5]), curve([0.1, 0.5, 0.5])], [curve([0.4, 0.4])], budget=3)
    assert (found.kind, found.epoch, found.low, found.high) == ("reached", 2.0, 2.0, 3.0)


def test_extrapolation_covers_the_true_epoch() -> None:
    # 0.6 − 0.5·e^(−0.5) reaches 0.5 at epoch 25; the first 20 are seen.
    scratch = [curve(power_law(0.6, 0.5, 0.5, 20, 0.01, seed)) for seed in range(3)]
    found = catch_up(scratch, [curve([0.5])], budget=20)
    assert found.kind == "extrapolated"
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 25 <= found.high
    assert 21 <= (found.epoch or 0) <= 32
    assert "not within your budget of 20" in catch_up_text(found)


def test_a_curve_that_levels_off_below_never_catches_up() -> None:
    scratch = [curve(power_law(0.3, 0.3, 1.0, 30, 0.002, seed)) for seed in range(3)]
    found = catch_up(scratch, [curve([0.6])], budget=30)
    assert found.kind == "not within your budget"
    assert found.share_never is not None
    assert found.share_never > 0.9


def test_a_curve_that_has_hardly_begun_says_nothing() -> None:
    found = catch_up([curve([0.0, 0.0, 0.001, 0.004, 0.01, 0.02, 0.03])], [curve([0.5])], budget=7)
    assert found.kind == "too early to say"
    assert found.epoch is None
    assert "too little of a curve" in catch_up_text(found)


def test_never_earlier_than_what_was_seen_and_the_same_each_time() -> None:
    scratch = [curve(power_law(0.5, 0.5, 0.8, 12, 0.01, seed)) for seed in range(2)]
    found = catch_up(scratch, [curve([0.46]), curve([0.47])], budget=12)
    assert found == catch_up(scratch, [curve([0.46]), curve([0.47])], budget=12)
    assert (found.low or 13) >= 13


def test_more_seeds_of_the_same_curve_leave_it_where_it_is() -> None:
    one = curve(power_law(0.6, 0.5, 0.5, 20))
    few = catch_up([one], [curve([0.5])], budget=20)
    many = catch_up([one] * 4, [curve([0.5])] * 4, budget=20)
    assert many.epoch == pytest.approx(few.epoch, rel=0.05)


@pytest.mark.parametrize("stopped", [2, 8])
def test_a_seed_that_stopped_early_does_not_cut_the_others_short(stopped: int) -> None:
    # 0.6 − 0.5·e^(−0.5) reaches 0.57 at epoch 278; the seed that stopped keeps its best and draws the mean down.
    whole = curve(power_law(0.6, 0.5, 0.5, 40))
    found = catch_up([whole, whole, whole[:stopped]], [curve([0.57])], budget=40)
    none_stopped = catch_up([whole, whole], [curve([0.57])], budget=40)
    assert none_stopped.share_never == 0.0
    assert 0.0 < (found.share_never or 0.0) < 1.0
