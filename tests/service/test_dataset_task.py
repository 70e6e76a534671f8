"""The service knows what a data set it holds is for, and asks at that task's image size where nobody names one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.records import SplitCounts
from recommender.requests import TrainingRequest, at_usual_size
from recommender.store import Store
from recommender.store.service_records import HeldDataset
from service.dataset_task import task_of

HELD = HeldDataset(
    id="ds_1", owner="ada", name="x", dataset_hash="h" * 64, origin="path", path="/nowhere", format="folders",
    class_names=("a", "b"), num_images=SplitCounts(train=1, val=1), num_objects=2, created_at="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("health", "task"),
    [
        (None, "detect"),
        ({"defects": []}, "detect"),  # as earlier versions wrote it
        ({"dataset": {"task": "classify"}}, "classify"),
    ],
)
def test_the_inspection_tells_the_task(health: object, task: str, tmp_path: Path) -> None:
    held = HELD if health is None else replace(HELD, health=json.dumps(health))
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        assert task_of(store, held) == task


def test_the_size_is_the_tasks_unless_it_is_named() -> None:
    asked = TrainingRequest.model_validate({"dataset": "x"})
    named = TrainingRequest.model_validate({"dataset": "x", "imgsz": 640})
    assert (at_usual_size(asked, "classify").imgsz, at_usual_size(asked, "detect").imgsz) == (224, 640)
    assert at_usual_size(named, "classify").imgsz == 640
