"""Effects of image size, model size and family: an expert's checks on the numbers estimated from published tables."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from recommender.forecast.gaussian_process import posterior
from recommender.forecast.situation import Situation
from recommender.forecast.size_effects import (
    PARAMETERS,
    capacity_slope,
    capacity_term,
    image_size_term,
    transfer_term,
)
from recommender.records import Budget
from tests.forecast.builders import profile, situation


def asked(
    *,
    architecture: str = "yolo11n",
    imgsz: int = 640,
    side: float = 0.1,
    images: int = 500,
    classes: int = 3,
    width: int = 4000,
) -> Situation:
    """COCO weights of an architecture on a set whose median object has this share of the image's side."""
    target = replace(
        profile("target", 0.0, train=images),
        class_names=tuple(f"class {i}" for i in range(classes)),
        box_sizes_Q=(side / 2, side / 1.5, side, side * 1.5, side * 2),
        median_width=width,
        median_height=width,
    )
    found = situation(target, profile("COCO", 1.0))
    assert found.checkpoint is not None
    return replace(
        found,
        budget=Budget(epochs=100, imgsz=imgsz),
        checkpoint=replace(found.checkpoint, architecture=architecture),
    )


def expected(asked_for: Situation) -> float:
    return float(posterior((), (asked_for,)).mean_N[0])


def gain_of_pixels(**kind: Any) -> float:
    """From 640 to 1280 px, four times the operations."""
    return expected(asked(imgsz=1280, **kind)) - expected(asked(**kind))


def gain_of_parameters(**kind: Any) -> float:
    """From YOLO11n to YOLO11s, three times the operations."""
    return expected(asked(architecture="yolo11s", **kind)) - expected(asked(**kind))


def test_tiny_objects_want_pixels_before_parameters() -> None:
    tiny, large = (
        {"side": 0.012, "images": 5000},
        {"side": 0.5, "images": 70_000, "classes": 10, "width": 640},
    )
    assert gain_of_pixels(**tiny) > 2 * gain_of_parameters(**tiny)
    assert gain_of_parameters(**large) > gain_of_pixels(**large)


def test_size_hardly_matters_on_small_easy_sets_and_does_on_large_hard_ones() -> None:
    bccd, bdd = {"images": 255, "classes": 3}, {"images": 70_000, "classes": 10}
    small = capacity_term(asked(architecture="yolo11x", **bccd))
    large = capacity_term(asked(architecture="yolo11x", **bdd))
    assert 0 < small < 0.035  # from 2.6 to 57 million parameters
    assert large > 0.10


def test_more_pixels_than_the_images_have_show_nothing_more() -> None:
    small_images = [image_size_term(asked(imgsz=size, width=400)) for size in (320, 640, 960, 1280)]
    assert small_images[0] < small_images[1] == small_images[2] == small_images[3]


@pytest.mark.parametrize("side", [0.01, 0.05, 0.3])
def test_every_pixel_more_brings_less(side: float) -> None:
    gains = [image_size_term(asked(imgsz=size, side=side)) for size in (192, 384, 576, 768, 960)]
    steps = [b - a for a, b in itertools.pairwise(gains)]
    assert gains[0] == 0
    assert all(step > 0 for step in steps)
    assert steps == sorted(steps, reverse=True)


def test_yolo26n_transfers_worse_than_its_coco_score_says() -> None:
    small = {"images": 800, "classes": 5}
    yolo26n, yolo11n = (asked(architecture=name, **small) for name in ("yolo26n", "yolo11n"))
    assert capacity_term(yolo26n) > capacity_term(yolo11n)
    assert transfer_term(yolo26n) < 0
    assert expected(yolo26n) < expected(yolo11n)


def test_what_no_run_knows_is_less_certain() -> None:
    known, unknown = asked(), asked(architecture="yolo11x")
    spread = [float(posterior((), (one,)).covariance_NN[0, 0]) for one in (known, unknown)]
    assert spread[1] > spread[0]


def test_an_architecture_of_nobodys_is_judged_by_its_parameters() -> None:
    found = asked(architecture="of-my-own")
    assert found.checkpoint is not None
    small, large = (
        capacity_term(replace(found, checkpoint=replace(found.checkpoint, num_parameters=size)))
        for size in (2_000_000, 40_000_000)
    )
    assert large > small


def test_the_slope_stays_between_nothing_and_cocos() -> None:
    assert (
        0
        < capacity_slope(1, 1)
        == capacity_slope(1, 300)
        < capacity_slope(5, 1150)
        < capacity_slope(20, 16_551)
        <= 1
    )
    assert capacity_slope(1000, 10**9) == 1


def test_the_stored_numbers_are_what_the_tables_teach() -> None:
    from benchmarks.size_effects import parameters, read_grid, targets, unseen_target

    grid = read_grid()
    stored = json.loads(PARAMETERS.read_text(encoding="utf-8"))
    fitted = json.loads(json.dumps(parameters(grid)))
    for part in ("capacity_slope", "image_size", "transfer"):
        assert fitted[part] == pytest.approx(stored[part], abs=2e-3)
    assert fitted["architectures"].keys() == stored["architectures"].keys()
    for target in targets()[:3]:
        found = unseen_target(grid, target)
        assert found["τ forecast"] > 0.85
        assert found["lost, forecast"] < found["lost, COCO mAP at that size"] + 0.001
