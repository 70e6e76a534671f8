"""Parts of pages that need no service: labels of the map, numbers in words."""

from __future__ import annotations

import pytest

from recommender.report.map_labels import labels
from service.page_templates import axis_top, duration, moment, signed
from service.schemas.datasets import MapPlace


def test_labels_on_the_map_never_cover_each_other() -> None:
    crowd = [
        MapPlace(
            hash=str(i),
            name=f"set {i}",
            x=0.5 + 0.01 * (i % 5),
            y=0.5 + 0.01 * (i // 5),
            images=1,
            kind="held",
        )
        for i in range(25)
    ]
    placed = labels(crowd, "7")
    assert placed[0].is_target
    assert 1 < len(placed) < 25
    alone = labels(crowd[:1], "none")
    assert [label.text for label in alone] == ["set 0"]
    assert labels((), "none") == ()


def test_small_numbers_read_well() -> None:
    assert [axis_top(value) for value in (0.0, 0.02, 0.3, 0.31, 0.85, 2.0)] == pytest.approx(
        [1, 0.05, 0.3, 0.4, 0.9, 1]
    )
    assert (duration(5), duration(65), duration(3700), duration(float("inf"))) == (
        "5 s",
        "1 min",
        "1 h 1 min",
        "?",
    )
    assert moment("2026-01-02T03:04:05.6+00:00") == "2026-01-02 03:04 UTC"
    assert (signed(0.1), signed(-0.02)) == ("+0.10", "−0.02")
