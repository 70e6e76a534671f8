"""Learning rate and freeze depth as axes of trials."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.errors import UsageError
from recommender.families.ultralytics.architectures import freeze_depths, frozen_layers
from recommender.recipe_axes import (
    DEFAULT,
    RecipeSetting,
    advised,
    best_settings,
    neighbours,
    recipes_along,
    setting_note,
    tried_on,
)
from recommender.records import Mode, Recipe, Run
from recommender.starts import FreezeDepth, with_depth
from tests.forecast.builders import observation, profile, situation

RECIPE = Recipe(epochs=10, imgsz=320)


def run(score: float, **changes: object) -> Run:
    """A run of one start on one data set; `changes` are fields of the recipe."""
    made = observation(situation(profile("target", 0.0), profile("source", 0.2)), score).run
    recipe = replace(made.recipe, **changes)  # type: ignore[arg-type]
    return replace(made, recipe=recipe, id=repr(recipe))


@pytest.mark.parametrize(
    ("name", "stem", "backbone", "neck"),
    [
        ("yolo11n", 2, 11, 23),
        ("yolov8n", 2, 10, 22),
        ("yolov9e", 3, 30, 42),
        ("yolov10n", 2, 11, 23),
        ("yolo12n", 2, 9, 21),
        ("yolov5n-p6", 2, 12, 33),
        ("yolo26n-seg", 2, 11, 23),
        ("yolov8n-seg", 2, 10, 22),
        ("rtdetr-l", 1, 10, 28),
        ("rtdetr-x", 1, 14, 32),
    ],
)
def test_depths_are_counted_by_the_architecture(name: str, stem: int, backbone: int, neck: int) -> None:
    found = [frozen_layers(name, "full", depth) for depth in ("none", "stem", "backbone", "neck")]
    assert found == [0, stem, backbone, neck]
    assert frozen_layers(name, "freeze") == backbone
    assert frozen_layers(name, "full") == frozen_layers(name, "scratch") == 0


def test_a_classifier_has_no_neck_to_freeze() -> None:
    assert freeze_depths("yolo11n-cls", "freeze") == ("backbone",)
    assert [frozen_layers(name, "freeze") for name in ("yolo11n-cls", "yolov8n-cls")] == [10, 9]
    with pytest.raises(UsageError, match="no neck"):
        frozen_layers("yolo11n-cls", "freeze", "neck")


@pytest.mark.parametrize(
    ("start", "depth", "expected"),
    [
        ("coco", None, ("coco", None)),
        ("coco", "neck", ("coco:freeze", "neck")),
        ("coco", "backbone", ("coco:freeze", None)),
        ("coco:full", "stem", ("coco:full", "stem")),
        ("coco:full", "none", ("coco:full", None)),
        ("scratch", "none", ("scratch", None)),
    ],
)
def test_a_depth_brings_the_mode_it_goes_with(
    start: str, depth: FreezeDepth | None, expected: tuple[str, FreezeDepth | None]
) -> None:
    assert with_depth(start, depth) == expected


@pytest.mark.parametrize(
    ("start", "depth"), [("coco:full", "neck"), ("coco:freeze", "none"), ("scratch", "stem")]
)
def test_a_depth_against_the_mode_is_refused(start: str, depth: FreezeDepth) -> None:
    with pytest.raises(UsageError) as caught:
        with_depth(start, depth)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("mode", "rates", "depths"),
    [
        ("full", {None, 0.000333, 0.003}, {None, "stem"}),
        ("freeze", {None, 0.000667, 0.006}, {None, "neck"}),
        ("scratch", {None, 0.000667, 0.006}, {None}),
    ],
)
def test_a_grid_is_every_rate_at_every_depth(mode: Mode, rates: set[float], depths: set[str]) -> None:
    found = recipes_along(RECIPE, mode, "yolo11n", ("lr", "freeze"))
    assert found[0] == RECIPE  # the very recipe of before: what the history knows of it is used
    assert {(one.learning_rate, one.freeze) for one in found} == {(r, d) for r in rates for d in depths}
    assert len(found) == len(rates) * len(depths)
    beside = neighbours(RECIPE, mode, "yolo11n", ("lr", "freeze"))
    assert len(beside) == len(rates) + len(depths) - 2
    assert all((one.learning_rate is None) != (one.freeze is None) for one in beside)
    assert recipes_along(RECIPE, mode, "yolo11n", ()) == (RECIPE,)


def test_rates_step_from_the_family_s_own_default() -> None:
    rates = [one.learning_rate for one in recipes_along(RECIPE, "full", "rtdetr-l", ("lr",))]
    assert rates == [None, 3.33e-05, 0.0003]


def test_of_runs_that_differ_in_their_setting_the_best_teaches() -> None:
    default, slower, stem = run(0.4), run(0.5, learning_rate=0.0003), run(0.45, freeze="stem")
    other = run(0.1, seed=1)
    assert best_settings([default, slower, stem, other]) == (slower, other)


def test_a_setting_is_advised_once_it_brings_more_than_a_seed() -> None:
    runs = [
        run(0.40),
        run(0.43, learning_rate=0.003),
        run(0.39, freeze="stem"),
        run(0.40, seed=1),
        run(0.42, seed=1, learning_rate=0.003),
        run(0.90, seed=2, learning_rate=0.01),  # nothing beside it: says nothing
    ]
    tried = tried_on(runs[0].target_hash, runs, runs[0].start)
    faster = RecipeSetting(learning_rate=0.003)
    assert [(one.setting, round(one.gain, 3), one.count) for one in tried] == [
        (faster, 0.025, 2),
        (RecipeSetting(freeze="stem"), -0.01, 1),
    ]
    assert advised(tried) == faster
    assert advised(tried[1:]) == advised(()) == DEFAULT
    (note,) = setting_note(runs[0].start, tried)
    assert "rate 0.003: +0.025 in 2 pairs" in note.message
    assert "frozen up to the stem: -0.010" in note.message
    (note,) = setting_note(runs[0].start, tried[1:])
    assert "default stays" in note.message
    assert tried_on("another set", runs, runs[0].start) == ()


def test_rates_of_another_optimiser_are_not_advised() -> None:
    runs = [run(0.40, optimizer="SGD"), run(0.60, optimizer="SGD", learning_rate=0.03)]
    assert tried_on(runs[0].target_hash, runs, runs[0].start) == ()


def test_a_run_that_was_stopped_is_compared_after_as_many_epochs() -> None:
    def after(*scores: float, status: str = "succeeded", **changes: object) -> Run:
        made = run(max(scores), **changes)
        points = tuple(replace(made.curve[0], epoch=i, score=one) for i, one in enumerate(scores, 1))
        return replace(made, curve=points, best=max(points, key=lambda one: one.score), status=status)  # type: ignore[arg-type]

    runs = [after(0.1, 0.2, status="stopped"), after(0.1, 0.2, 0.3, learning_rate=0.003)]
    (tried,) = tried_on(runs[0].target_hash, runs, runs[0].start)
    assert tried.gain == 0.0


def test_a_run_of_before_reads_as_one_of_the_mode_s_own_depth() -> None:
    from recommender.store.records_json import decode, encode

    text = encode(run(0.4)).replace('"freeze": null, ', "")
    assert '"freeze"' not in text
    assert decode(Run, text) == run(0.4)
