"""The benchmark of estimated hours: what it trains is the defaults, and its shares are those of the estimates."""

from __future__ import annotations

import pytest

from benchmarks.hours_accuracy import PLANS, Timed, summary
from recommender.tasks import TASKS


def timed(took: float, calibration: float | None) -> Timed:
    return Timed(task="detect", what="", calibration=calibration, runs=None, took=took, command=took + 9)


def test_counts_the_estimates_within_a_quarter_of_the_time_taken() -> None:
    found = summary([timed(100, 124), timed(100, 76), timed(100, 60), timed(100, None)], "calibration")
    assert found["estimates"] == 3
    assert found["within_25_percent"] == pytest.approx(2 / 3)
    assert found["median_error"] == pytest.approx(0.24)
    assert summary([timed(100, 124)], "runs")["within_25_percent"] is None


def test_every_task_is_trained_in_each_mode() -> None:
    for task in TASKS:
        starts = [plan.start for plan in PLANS if plan.task == task.name]
        assert {start.rpartition(":")[2] for start in starts} >= {"full", "freeze"}
