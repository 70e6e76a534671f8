"""The note on objects too small for the image size: how many, what the next size brings and costs, and tiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.costs.notices import cost_notes
from recommender.records import (
    Dataset,
    Interval,
    LabelledImage,
    Notice,
    RankedStart,
    SizeOption,
)
from tests.forecast.builders import profile
from tests.report.kit import ranked


def notes_on(side: float, longer: int, larger: SizeOption | None, imgsz: int = 640) -> tuple[Notice, ...]:
    """Of images of `longer` × `longer` pixels whose objects have these sides, as shares, scaled to `imgsz`."""
    boxes_M4 = np.array([[0.5, 0.5, side, side]] * 4, dtype=np.float32)
    image = LabelledImage(
        path=Path("image.png"),
        name="image.png",
        split="train",
        width=longer,
        height=longer,
        sha256="",
        classes_M=np.zeros(4, dtype=np.int64),
        boxes_M4=boxes_M4,
    )
    target = Dataset(
        name="tiny",
        root=Path(),
        format="yolo",
        class_names=("thing",),
        images=(image,),
        content_hash="hash-tiny",
        split_origin="given",
    )
    images = replace(profile("tiny", 0.0), median_width=longer, median_height=longer)
    return cost_notes([row(imgsz, larger)], target, images, hours_on=None)


def row(imgsz: int, larger: SizeOption | None) -> RankedStart:
    sizes = () if larger is None else (SizeOption(imgsz=imgsz, score=0.3, allowed=True), larger)
    score = Interval(mean=0.3, low=0.2, high=0.4)
    return ranked(1, "coco", "full", score=score, flops_b=6.5, latency_ms=10.0, imgsz=imgsz, sizes=sizes)


NEXT = SizeOption(imgsz=960, score=0.34, flops_b=14.6, latency_ms=22.0, allowed=True)


@pytest.mark.parametrize(
    ("side", "longer", "larger", "said"),
    [
        (0.02, 2000, NEXT, ("0% of your objects are below 8 pixels and 100% below 16", "960 px", "0.040", "2.2 times",
                            "22 ms an image instead of 10")),
        (0.02, 2000, replace(NEXT, allowed=False), ("beyond your limits",)),
        (0.01, 4000, NEXT, ("100% of your objects are below 8 pixels", "tiles of 640 px", "6.2 times as large")),
        (0.02, 400, None, ("only larger originals would help",)),
        (0.01, 700, None, ("only larger originals would help",)),
    ],
)  # fmt: skip
def test_small_objects_are_said_with_what_helps(
    side: float, longer: int, larger: SizeOption | None, said: tuple[str, ...]
) -> None:
    (notice,) = notes_on(side, longer, larger)
    assert notice.code == "small_objects"
    assert [part for part in said if part not in notice.message] == []
    assert ("tiles" in notice.message) == (longer == 4000)


def test_objects_that_are_large_enough_need_no_note() -> None:
    assert notes_on(0.1, 2000, NEXT) == ()


def test_small_image_sizes_are_raised_before_anything_is_tiled() -> None:
    (notice,) = notes_on(0.01, 2000, None, imgsz=320)
    assert "A larger image size keeps them larger." in notice.message
    assert "tiles" not in notice.message


def test_within_a_limit_the_best_larger_model_that_fits_is_named() -> None:
    from recommender.costs.notices import _larger

    first = row(640, None)
    limits = ("30 ms an image on t4",)
    big = replace(
        first,
        rank=2,
        checkpoint="yolo11m",
        score=Interval(mean=0.31, low=0.2, high=0.4),
        flops_b=68.0,
        latency_ms=25.0,
        fetch_mb=40.0,
    )
    twin = replace(big, checkpoint="coco", mode="freeze")  # the same weights are no larger model
    note = _larger(first, [first, twin, big], limits)
    assert note is not None
    assert "yolo11m:full at 640 px" in note.message
    assert "25 ms an image instead of 10" in note.message
    assert "40 MB to be fetched is expected to end 0.010 higher: not told apart" in note.message
    note = _larger(first, [first, twin], limits)
    assert note is not None
    assert "leave no room" in note.message
    assert _larger(first, [first, big], ()) is None
