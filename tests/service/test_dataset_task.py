"""The service knows what a data set it holds is for, and asks at that task's image size where nobody names one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recommender.errors import UsageError
from recommender.records import SplitCounts
from recommender.requests import TrainingRequest, at_usual_size
from recommender.store import Store
from recommender.store.service_records import RegisteredDataset
from service.auth import Caller
from service.dataset_task import task_of
from service.jobs import launch_sweep
from service.schemas.sweeps import SweepBody
from tests.datagen import zip_of
from tests.datasets.outlined import scenes, write_yolo_seg
from tests.datasets.test_voc_masks import VOC_NUMBERS, write_voc
from tests.service.kit import Service, settings_for_tests
from tune_jobs.sweep_host import _request_of

HELD = RegisteredDataset(
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


def upload(service: Service, folder: Path, **fields: str) -> Any:
    with zip_of(folder, folder.with_suffix(".zip")).open("rb") as file:
        return service.post("/v1/datasets", files={"file": ("set.zip", file, "application/zip")}, data=fields)


def test_a_set_that_nobody_has_inspected_is_trained_for_the_task_of_its_labels(
    service: Service, tmp_path: Path
) -> None:
    for number, kind in enumerate(("daisy", "tulip") * 6):
        (tmp_path / "set" / kind).mkdir(parents=True, exist_ok=True)
        grey_HW3 = np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(grey_HW3).save(tmp_path / "set" / kind / f"{number}.png")
    held = upload(service, tmp_path / "set").json()
    assert held["task"] == "classify"
    body = {"dataset": held["id"], "start": "scratch", "epochs": 1}
    launched = service.post("/v1/trainings", json=body)
    assert launched.status_code == 202
    spec = json.loads(service.store.jobs.get(launched.json()["id"]).spec)  # type: ignore[union-attr]
    assert (spec["task"], spec["architecture"], spec["recipe"]["imgsz"]) == ("classify", "yolov8n-cls", 224)
    for route in ("trainings", "recommendations"):
        refused = service.post(f"/v1/{route}", json={"dataset": held["id"], "task": "detect"})
        assert refused.status_code == 422
        assert "was read for image classification, not for object detection" in refused.json()["detail"]
    sweep = {"datasets": [held["id"]], "modes": ["scratch"], "budget": "10m"}
    tried = service.post("/v1/sweeps", json=sweep)
    assert (tried.status_code, tried.json()["imgsz"]) == (202, None)
    asked, hashes = _request_of(service.store.jobs.require(tried.json()["id"]))
    assert hashes == [held["hash"]]
    assert at_usual_size(asked, "classify").imgsz == 224
    named = service.post("/v1/sweeps", json=sweep | {"imgsz": 640})
    assert named.json()["imgsz"] == 640
    refused = service.post("/v1/sweeps", json=sweep | {"architecture": "yolo11n"})
    assert (refused.status_code, "is no image classifier" in refused.text) == (422, True)
    for job in (tried, named):
        service.delete(f"/v1/sweeps/{job.json()['id']}")
    ada = Caller(owner="ada", role="user", key_id="k", by_cookie=False)
    small = replace(service.services, settings=settings_for_tests(max_imgsz=320))
    job, _ = launch_sweep(small, ada, SweepBody.model_validate(sweep), key="small")  # 224 px
    service.delete(f"/v1/sweeps/{job.id}")
    with pytest.raises(UsageError, match="100 epochs at 640 px"):
        launch_sweep(small, ada, SweepBody.model_validate(sweep | {"imgsz": 640}), key="large")
    odd = replace(service.services, settings=settings_for_tests(max_imgsz=1000))
    job, _ = launch_sweep(
        odd, ada, SweepBody.model_validate(sweep | {"imgsz": 1000}), key="odd"
    )  # at 1024 px
    service.delete(f"/v1/sweeps/{job.id}")


def test_a_set_drawn_for_segmentation_in_rectangles_says_at_once_that_it_is_read_for_boxes(
    service: Service, tmp_path: Path
) -> None:
    def told(name: str, row: str) -> Any:
        folder = write_yolo_seg(tmp_path / name, scenes())
        for label in (folder / "labels").rglob("*.txt"):
            label.write_text(row if row else label.read_text())
        return upload(service, folder).json()

    rectangles = told("rectangles", "0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6\n")
    assert rectangles["task"] == "detect"
    assert rectangles["task_note"].startswith(
        "Outline that is an upright rectangle: None says more than a box"
    )
    partly = told("partly", "0 0.1 0.1 0.5 0.1 0.3 0.6\n0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6\n")
    assert (partly["task"], "task segment reads the outlines" in partly["task_note"]) == ("detect", True)
    assert told("boxes", "0 0.5 0.5 0.2 0.2\n")["task_note"] is None


def test_the_task_is_named_where_the_labels_serve_two(service: Service, tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "set", VOC_NUMBERS)
    boxes, masks = (upload(service, folder, **fields).json() for fields in ({}, {"task": "segment"}))
    assert (boxes["task"], boxes["images"]["train"]) == ("detect", 9)
    assert (masks["task"], masks["images"]["train"]) == ("segment", 6)
    assert boxes["id"] != masks["id"]
    assert upload(service, folder, task="classify").status_code == 422
    kept = service.store.datasets.get(masks["id"])
    assert kept is not None
    assert kept.unpacked is not None
    assert Path(kept.unpacked).is_dir()
    wrong = upload(service, folder, task="pose")
    assert (wrong.status_code, wrong.json()["remedy"]) == (422, "The tasks are detect, segment, classify.")
    asked = service.post("/v1/recommendations", json={"dataset": masks["id"], "epochs": 1}).json()
    question = service.store.recommendations.get(asked["id"])
    assert question is not None
    assert json.loads(question.question)["task"] == "segment"
    service.delete(f"/v1/recommendations/{asked['id']}")
    assert service.delete(f"/v1/datasets/{boxes['id']}").status_code == 204
    assert Path(kept.unpacked).is_dir()
