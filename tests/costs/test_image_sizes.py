"""The image size of every start: the smallest that loses hardly anything, within the limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from recommender.costs.gpus import gpu_speed
from recommender.costs.image_sizes import SizeChoice, choose_sizes, sizes_for
from recommender.costs.start_costs import costs_of, front, work_of
from recommender.costs.training_time import Speed
from recommender.errors import UsageError
from recommender.forecast.kernels import PriorScales
from recommender.forecast.situation import Situation
from recommender.records import Profile
from recommender.requests import RecommendRequest, at_usual_size
from tests.forecast.builders import profile, situation

SMALL_OBJECTS = replace(
    profile("target", 0.0),
    box_sizes_Q=(0.01, 0.015, 0.02, 0.03, 0.05),
    median_width=4000,
    median_height=3000,
)
LARGE_OBJECTS = replace(
    SMALL_OBJECTS, box_sizes_Q=(0.4, 0.5, 0.6, 0.7, 0.8), median_width=300, median_height=300
)


def asked(**values: object) -> RecommendRequest:
    return RecommendRequest.model_validate({"dataset": "d", "everything": True} | values)


def starts(target: Profile) -> list[Situation]:
    """YOLO11n, YOLO11x and random weights."""
    small, large, scratch = (situation(target, one) for one in (profile("n", 0.5), profile("x", 0.5), None))
    assert large.checkpoint is not None
    checkpoint = replace(large.checkpoint, architecture="yolo11x", num_parameters=57_000_000)
    return [small, replace(large, checkpoint=checkpoint), scratch]


def choose(request: RecommendRequest, target: Profile, speed: Speed | None = None) -> SizeChoice:
    found = starts(target)
    return choose_sizes(
        found,
        sizes_for(request, target),
        (),
        PriorScales(),
        request=request,
        cost_of=costs_of(request, target, found, speed),
    )


def sizes(choice: SizeChoice) -> dict[str, int]:
    return {one.start.checkpoint: one.budget.imgsz for one in choice.situations}


def test_small_objects_in_large_photos_are_worth_more_pixels_than_large_ones_in_small_photos() -> None:
    fine, coarse = choose(asked(), SMALL_OBJECTS), choose(asked(), LARGE_OBJECTS)
    assert sizes(fine)["n"] == 1280
    assert sizes(coarse)["n"] <= 480


def test_a_plain_question_looks_for_the_size_too_and_a_named_size_stays() -> None:
    plain = at_usual_size(RecommendRequest.model_validate({"dataset": "d"}), "detect")
    assert sizes(choose(plain, SMALL_OBJECTS))["n"] == 1280
    masks = at_usual_size(RecommendRequest.model_validate({"dataset": "d"}), "segment")
    assert sizes_for(masks, SMALL_OBJECTS) == (640,)
    assert sizes(choose(asked(imgsz=480), SMALL_OBJECTS)) == {"n": 480, "x": 480, "scratch": 480}


def test_a_limit_takes_pixels_from_the_small_model_and_leaves_the_large_one_out() -> None:
    free = choose(asked(device="rpi5"), SMALL_OBJECTS)
    tight = choose(asked(device="rpi5", max_latency="100ms"), SMALL_OBJECTS)
    assert sizes(free) == {"n": 1280, "x": 1280, "scratch": 1280}
    assert sizes(tight)["n"] == 640
    assert [start.checkpoint for start in tight.left_out] == ["x"]
    allowed = {o.situation.budget.imgsz: o.allowed for o in tight.options[tight.situations[0].start]}
    assert allowed == {320: True, 480: True, 640: True, 960: False, 1280: False}


@pytest.mark.parametrize(
    ("limits", "remedy"),
    [
        ({"device": "t4", "max_latency": "0.1ms"}, "--max-latency 0.6"),
        ({"max_flops": "0.1G"}, "--max-flops 1.68"),
        ({"device": "t4", "max_memory": "1MB"}, "rpi5 and jetson-orin, up to 640 px"),
        ({"max_hours": "1h"}, "--gpu t4"),
    ],
)
def test_where_nothing_fits_the_least_that_would_is_named(limits: dict[str, object], remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        choose(asked(**limits), SMALL_OBJECTS)
    assert remedy in str(refused.value)


def test_money_buys_hours_and_both_are_kept_to() -> None:
    request = asked(gpu="t4", max_cost=0.1, price="0.35/h", epochs=50)
    found = choose(request, SMALL_OBJECTS, gpu_speed("t4"))
    costs = [
        option.cost
        for one in found.situations
        for option in found.options[one.start]
        if option.situation.budget == one.budget
    ]
    assert all(cost.money is not None and cost.money <= 0.1 for cost in costs)
    assert all(cost.hours is not None and cost.money == pytest.approx(0.35 * cost.hours) for cost in costs)
    few = work_of(found.situations[0], found.situations, SMALL_OBJECTS)
    many = replace(few, num_train_images=100_000, flops_b=100.0)
    assert gpu_speed("t4").seconds(many) > 3 * gpu_speed("a100").seconds(many)
    # The processor that asks for the steps of a small network is as slow beside either.
    assert gpu_speed("h200").seconds(few) == pytest.approx(gpu_speed("a100").seconds(few))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"max_latency": "30ms"}, "--device"),
        ({"max_cost": 5}, "--price"),
        ({"device": "t4", "max_latency": "soon"}, "30ms"),
        ({"device": "t4", "max_latency": "-1"}, "30ms"),
        ({"device": "t4", "max_memory": "nan"}, "512MB"),
    ],
)
def test_limits_that_mean_nothing_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RecommendRequest.model_validate({"dataset": "d"} | values)


def test_units_are_understood() -> None:
    found = asked(device="t4", max_latency="0.5s", max_memory="2GB", max_flops="1.5t", max_hours="30min")
    assert (found.max_latency, found.max_memory, found.max_flops, found.max_hours) == (500, 2048, 1500, 0.5)


def test_the_front_holds_what_nothing_cheaper_reaches() -> None:
    points = [(0.5, 10.0), (0.4, 10.0), (0.6, 20.0), (0.55, 30.0), (0.9, None), (0.3, 1.0)]
    assert front(points) == {0, 2, 5}
