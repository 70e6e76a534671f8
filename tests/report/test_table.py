"""The ranked table fits the terminal it is drawn on: no column is squeezed to nothing."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from recommender.records import (
    SCRATCH,
    Budget,
    Decision,
    Evidence,
    Interval,
    Mode,
    Provenance,
    RankedStart,
    Recommendation,
    Start,
)
from recommender.report.table import print_recommendation
from tests.forecast.builders import profile


def ranked(rank: int, name: str, mode: Mode) -> RankedStart:
    return RankedStart(
        rank=rank,
        start=Start(checkpoint=name, mode=mode),
        score=Interval(mean=0.27, low=0.22, high=0.32, level=0.8),
        p_best=0.17,
        expected_loss=0.0,
        gain_over_scratch=Interval(mean=0.26, low=0.2, high=0.3, level=0.8),
        evidence=Evidence(similarity=0.88, class_overlap=1.0, weights_transferred=0.93),
        reasons=("a reason",),
        available=True,
    )


def drawn(name: str, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), highlight=False)
    starts = (ranked(1, name, "freeze"), ranked(17, SCRATCH, "scratch"))
    provenance = Provenance(
        version="0",
        seed=0,
        history_runs=0,
        encoder="probe-1",
        dataset_hash="t",
        weights_sha256={},
        libraries={},
    )
    recommendation = Recommendation(
        profile=profile("target", 0.0),
        budget=Budget(epochs=20, imgsz=160),
        ranking=starts,
        warnings=(),
        method="rules",
        command="yolo detect train",
        provenance=provenance,
        decision=Decision(
            start=starts[0].start,
            expected_loss=0.01,
            num_starts=17,
            tied=(starts[0].start,),
            tie_rule="full before freeze",
            trials=None,
        ),
    )
    print_recommendation(recommendation, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 90, 100, 120, 140, 200])
@pytest.mark.parametrize("name", ["coco", "mask_wearing-yolo11n", "the-best-of-last-year-of-the-whole-team"])
def test_every_column_is_readable(name: str, width: int) -> None:
    lines = drawn(name, width)
    assert max(map(len, lines)) <= width
    (heading,) = (line for line in lines if "start from" in line)
    assert "…" not in heading
    first = next(line for line in lines if name[:12] in line and "freeze" in line and "├" in line)
    assert first.split()[0] == "1"
    assert "0.27 (0.22–0.32)" in first
    assert "17%" in first
    assert ("likeness" in heading) is ("93%" in first)
    assert ("vs scratch" in heading) is ("+0.26" in first)


def test_a_wide_terminal_shows_all_and_a_narrow_one_the_answer() -> None:
    (wide,) = (line for line in drawn("coco", 140) if "start from" in line)
    (narrow,) = (line for line in drawn("coco-yolo11n", 80) if "start from" in line)
    assert {"vs", "scratch", "likeness", "weights", "best?"} <= set(wide.split())
    assert "best?" in narrow
    assert "likeness" not in narrow
