"""Hits, misses and false alarms, and which images are shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.comparison.comparison_input import Box, Evaluation, Scene, Score
from recommender.comparison.pictures import differing_scenes, iou, matches_of
from tests.compare.builders import box, start

SCORE = Score(score=0.0, details={"map50": 0.0, "map75": 0.0, "precision": 0.0, "recall": 0.0})
TRUE = box(0.1, 0.1, 0.3, 0.3)


def test_iou_closed_form() -> None:
    assert iou(box(0, 0, 0.4, 0.4), box(0.2, 0.2, 0.6, 0.6)) == pytest.approx(0.04 / 0.28)
    assert iou(box(0, 0, 0.1, 0.1), box(0.1, 0.1, 0.2, 0.2)) == 0.0


def test_a_mask_is_judged_by_its_mask_and_an_empty_one_hits_nothing() -> None:
    square = (0.1, 0.1, 0.3, 0.1, 0.3, 0.3, 0.1, 0.3)
    left_half = (0.1, 0.1, 0.2, 0.1, 0.2, 0.3, 0.1, 0.3)
    whole, half = replace(TRUE, rings=(square,)), replace(TRUE, rings=(left_half,))
    assert iou(whole, whole) == pytest.approx(1.0, abs=0.02)
    assert iou(whole, half) == pytest.approx(0.5, abs=0.05)
    assert iou(whole, TRUE) == 0.0
    assert matches_of([whole], [TRUE], 0.5).hits == ()


def test_the_surest_box_takes_the_object_and_its_double_is_a_false_alarm() -> None:
    sure, double = box(0.1, 0.1, 0.3, 0.3, 0, 0.9), box(0.11, 0.1, 0.3, 0.3, 0, 0.6)
    marks = matches_of([TRUE], [double, sure], 0.5)
    assert (marks.hits, marks.misses, marks.false_alarms) == ((sure,), (), (double,))
    assert marks.f1 == pytest.approx(2 / 3)


def test_the_wrong_class_is_a_miss_and_a_false_alarm() -> None:
    marks = matches_of([TRUE], [box(0.1, 0.1, 0.3, 0.3, 1, 0.9)], 0.5)
    assert (len(marks.hits), len(marks.misses), len(marks.false_alarms)) == (0, 1, 1)


def test_confidence_decides_what_counts() -> None:
    faint = [box(0.1, 0.1, 0.3, 0.3, 0, 0.4)]
    assert len(matches_of([TRUE], faint, 0.5).misses) == 1
    assert len(matches_of([TRUE], faint, 0.4).hits) == 1


def test_nothing_there_and_nothing_seen_is_perfect() -> None:
    assert matches_of([], [], 0.5).f1 == 1.0
    assert matches_of([], [TRUE], 0.5).f1 == 0.0


def scene(name: str) -> Scene:
    return Scene(name=name, width=10, height=10, truth=(TRUE,))


def seen(**boxes: bool) -> Evaluation:
    found: dict[str, tuple[Box, ...]] = {name: (TRUE,) if there else () for name, there in boxes.items()}
    return Evaluation(run_id="r", split="val", score=SCORE, boxes=found)


def test_the_images_on_which_starts_differ_come_first_and_the_others_not_at_all() -> None:
    scenes = [scene("alike"), scene("half"), scene("apart")]
    evaluations = {
        start("one"): [seen(alike=True, half=True, apart=True), seen(alike=True, half=False, apart=True)],
        start("two"): [seen(alike=True, half=True, apart=False), seen(alike=True, half=True, apart=False)],
    }
    found = differing_scenes(scenes, evaluations, confidence=0.5, limit=5)
    assert [(d.scene.name, d.spread) for d in found] == [("apart", 1.0), ("half", 0.5)]
    assert len(differing_scenes(scenes, evaluations, confidence=0.5, limit=1)) == 1


def test_a_start_far_behind_has_no_say() -> None:
    scenes = [scene("easy"), scene("hard"), scene("third")]
    evaluations = {
        start("one"): [seen(easy=True, hard=True, third=True)],
        start("two"): [seen(easy=True, hard=False, third=True)],
        start("blind"): [seen(hard=True)],
    }
    assert [d.scene.name for d in differing_scenes(scenes, evaluations, confidence=0.5, limit=5)] == ["hard"]
