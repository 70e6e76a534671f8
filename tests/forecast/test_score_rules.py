"""Which transferability scores the forecast heeds: in detection those of frozen features, elsewhere all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.forecast.rules import RULES, SCORED, features
from recommender.forecast.situation import Situation
from recommender.records import Evidence, Mode
from recommender.tasks import Task
from tests.forecast.builders import profile, situation


def starts(mode: Mode, task: Task) -> list[Situation]:
    """Three starts whose every score rises from the first to the last."""
    target = replace(profile("target", 0.3), task=task)
    return [
        situation(
            target,
            profile(f"source{i}", 0.2 * i),
            mode=mode,
            evidence=Evidence(scores={row.name: 0.1 * i for row in SCORED}),
        )
        for i in range(3)
    ]


@pytest.mark.parametrize(
    ("mode", "task", "heeded"),
    [
        ("full", "detect", set()),
        ("freeze", "detect", {row.name for row in SCORED if row.of_frozen}),
        ("full", "classify", {row.name for row in SCORED}),
        ("freeze", "classify", {row.name for row in SCORED}),
    ],
)
def test_scores_count_where_the_features_stay(mode: Mode, task: Task, heeded: set[str]) -> None:
    columns = features(starts(mode, task))[:, len(RULES) :]
    assert {row.name for row, column in zip(SCORED, columns.T, strict=True) if column.any()} == heeded
    assert (np.diff(columns, axis=0) >= 0).all()
