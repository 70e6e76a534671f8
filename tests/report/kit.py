"""Answers to draw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
)
from tests.forecast.builders import profile


def ranked(
    rank: int,
    name: str,
    mode: Mode,
    *,
    loss: float = 0.0,
    p_best: float = 0.17,
    seen: float = 0.0,
    **changes: object,
) -> RankedStart:
    """A row that ends `loss` below the best; `changes` are its other fields."""
    mean = 0.5 - loss
    made = RankedStart(
        rank=rank,
        checkpoint=name,
        mode=mode,
        score=Interval(mean=mean, low=mean - 0.05, high=mean + 0.05, level=0.8),
        p_best=p_best,
        expected_loss=loss,
        gain_over_scratch=Interval(mean=0.26, low=0.2, high=0.3, level=0.8),
        evidence=Evidence(
            similarity=0.88, class_overlap=1.0, weights_transferred=0.93, source_images_seen=seen
        ),
        reasons=("a reason",),
        available=True,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def answer_of(*rows: RankedStart, tied: int = 1, **changes: Any) -> Recommendation:
    """A recommendation with these rows, of which the first `tied` cannot be told apart."""
    fields: dict[str, Any] = {
        "profile": profile("target", 0.0),
        "budget": Budget(epochs=20, imgsz=160),
        "ranking": rows,
        "warnings": (),
        "method": "rules",
        "train_command": "recommend train --dataset target --start " + str(rows[0].start),
        "command": "yolo detect train " + "model=a " * 40,
        "provenance": Provenance(version="0", seed=0, history_runs=0, encoder="probe-1"),
        "decision": Decision(
            start=rows[0].start,
            expected_loss=rows[0].expected_loss,
            num_starts=len(rows),
            tied=tuple(row.start for row in rows[:tied]),
            tie_rule="full before freeze",
            trials=None,
        ),
    }
    return Recommendation(**(fields | changes))


def long_ranking() -> Recommendation:
    """Nine starts: the first three tied, one trained on the target itself, scratch last."""
    losses = (0.0, 0.004, 0.008, 0.03, 0.04, 0.05, 0.06)
    chances = (0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05)
    rows = [
        ranked(i + 1, f"c{i}", "full", loss=loss, p_best=p_best)
        for i, (loss, p_best) in enumerate(zip(losses, chances, strict=True))
    ]
    rows.append(ranked(8, "own", "full", loss=0.1, p_best=0.0, seen=1.0))
    rows.append(ranked(9, SCRATCH, "scratch", loss=0.3, p_best=0.0))
    return answer_of(*rows, tied=3)
