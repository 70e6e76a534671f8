"""One function decides what random weights train, wherever they are compared with other starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.checkpoints.scratch import scratch_architecture
from recommender.tasks import task_definition
from tests.store.builders import checkpoint


@pytest.mark.parametrize(
    ("architectures", "chosen"),
    [
        ([], task_definition("detect").architecture),
        (["yolov8n", "yolov8s", "yolov8s"], "yolov8s"),
        (["yolov8s", "yolo11n"], "yolo11n"),  # as common: the first by name
        (["yolo11n", "yolov8s"], "yolo11n"),  # in whatever order they come
    ],
)
def test_it_is_the_most_common_one(architectures: list[str], chosen: str) -> None:
    starts = [
        replace(checkpoint(), name=f"c{i}", architecture=architecture)
        for i, architecture in enumerate(architectures)
    ]
    assert scratch_architecture(starts) == chosen


def test_a_checkpoint_counts_once_in_however_many_modes_it_runs() -> None:
    many = replace(checkpoint(), name="many", architecture="yolov8s")
    others = [replace(checkpoint(), name=name, architecture="yolo11n") for name in ("a", "b")]
    assert scratch_architecture([many, many, many, *others]) == "yolo11n"
