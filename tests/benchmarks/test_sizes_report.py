"""The report on family and image size, on results made by hand."""

from __future__ import annotations

import pytest

from benchmarks.sizes_report import Race, family_regret, regret, report, size_gain

TRUTH = {("a", 128): 0.1, ("b", 128): 0.2, ("a", 256): 0.5, ("b", 256): 0.4}
RACE = Race(
    target="drawn",
    truth=TRUTH,
    forecasts={"tables": TRUTH, "learned": {cell: -value for cell, value in TRUTH.items()}},
    capacity={"a": 0.3, "b": 0.4},
)


def test_a_choice_loses_what_the_best_reaches_more() -> None:
    rules = RACE.rules()
    assert regret(RACE, RACE.forecasts["tables"]) == 0.0
    assert regret(RACE, RACE.forecasts["learned"]) == pytest.approx(0.4)
    assert regret(RACE, rules["highest COCO mAP"]) == pytest.approx(0.5 - 0.3)  # b at either size
    assert regret(RACE, rules["largest image size"]) == pytest.approx(0.5 - 0.45)  # of equals the mean
    assert regret(RACE, rules["both"]) == pytest.approx(0.1)
    assert family_regret(RACE, rules["highest COCO mAP"]) == pytest.approx((0.0 + 0.1) / 2)


def test_the_gain_of_the_larger_size_is_the_mean_over_families() -> None:
    assert size_gain(TRUTH) == pytest.approx(0.3)
    text = report([RACE])
    assert "| drawn | +0.300 | +0.300 | -0.300 | a |" in text
    assert report([]) == "No data set has runs of two families at two image sizes."
