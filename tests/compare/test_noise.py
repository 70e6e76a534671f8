"""Seed noise: against closed forms, and a difference within it is called that."""

from __future__ import annotations

import math

import pytest

from recommender.comparison.noise import CARE, SeedNoise, SeedSpread, seed_noise, spread_of
from tests.compare import builders


def test_pooled_deviation_of_two_groups() -> None:
    noise = seed_noise([[0.1, 0.3], [0.5, 0.5, 0.8]])
    # variances 0.02 (1 degree) and 0.03 (2 degrees): (0.02 + 0.06) / 3
    assert noise.deviation == pytest.approx(math.sqrt(0.08 / 3))
    assert noise.freedom == 3


def test_starts_that_learnt_nothing_and_single_seeds_do_not_count() -> None:
    assert seed_noise([[0.0, 0.001, 0.0], [0.4]]) == SeedNoise(deviation=None, freedom=0)


def test_bound_of_a_difference_follows_students_t() -> None:
    noise = SeedNoise(deviation=0.02, freedom=8)
    assert noise.of_difference(3, 3) == pytest.approx(1.859548 * 0.02 * math.sqrt(2 / 3), rel=1e-5)
    assert noise.of_difference(12, 12) < noise.of_difference(3, 3)  # type: ignore[operator]


def test_verdicts() -> None:
    noise = SeedNoise(deviation=0.02, freedom=8)
    spreads = {mean: SeedSpread(mean=mean, deviation=0.02, seeds=3) for mean in (0.40, 0.42, 0.45)}
    assert noise.direction(spreads[0.42], spreads[0.40]) == "same"
    assert noise.direction(spreads[0.45], spreads[0.40]) == "more"
    assert noise.direction(spreads[0.40], spreads[0.45]) == "less"
    unknown = SeedNoise(deviation=None, freedom=0)
    assert unknown.direction(spreads[0.45], spreads[0.40]) == "unknown"


def test_a_difference_nobody_cares_about_is_none_however_sure() -> None:
    quiet = SeedNoise(deviation=1e-6, freedom=100)
    near = SeedSpread(mean=0.4 + CARE / 2, deviation=0.0, seeds=9)
    assert quiet.direction(near, SeedSpread(mean=0.4, deviation=0.0, seeds=9)) == "same"


def test_spread_leaves_out_what_is_unknown() -> None:
    found = spread_of([None, 0.2, 0.4])
    assert found is not None
    assert found.seeds == 2
    assert found.mean == pytest.approx(0.3)
    assert found.deviation == pytest.approx(0.1414213)
    assert spread_of([None]) is None


def test_noise_of_rows_counts_each_share_of_the_data_apart() -> None:
    from recommender.comparison.rows import noise_of, rows_of

    made = builders.example()
    noise = noise_of(made, rows_of(made))
    assert noise.freedom == 2 * 8 * 2  # three seeds, eight starts, two shares
