"""Checkpoints of one task as starts for another: what fits moves, all else is counted as missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recommender.checkpoints import (
    build_model,
    coverage,
    require_for_task,
    require_freezable,
    that_fit,
    transfer,
)
from recommender.checkpoints.cross_task import for_task
from recommender.checkpoints.quarantine.reading import facts_of
from recommender.checkpoints.scratch import scratch_architecture
from recommender.errors import UsageError
from recommender.records import Checkpoint
from recommender.tasks import Task
from tests.checkpoints.kit import NAMES, state_of
from tests.evidence.kit import stored
from tests.processes import PYTHON, run_command


def checkpoint_of(tmp_path: Path, architecture: str, task: Task) -> Checkpoint:
    state = state_of(architecture)
    return replace(stored(tmp_path, architecture, state, architecture), class_names=NAMES, task=task)


@pytest.mark.slow
def test_a_detector_starts_a_segmenter_with_backbone_neck_and_box_branch(tmp_path: Path) -> None:
    detector = checkpoint_of(tmp_path, "yolo11n", "detect")
    fitted = require_for_task(detector, "segment")
    assert (fitted.architecture, fitted.family, fitted.task) == ("yolo11n-seg", "yolo11-seg", "detect")
    found = coverage(fitted, None, ("glove", "unseen"))
    assert (found.share("backbone"), found.share("neck"), found.classes_matched) == (1.0, 1.0, 1)
    assert 0.2 < found.share("head") < 0.8  # masks are random
    state, model = state_of("yolo11n"), build_model("yolo11n-seg", 2)
    assert transfer(state, NAMES, model, ("glove", "unseen")) == found
    moved = model.state_dict()
    assert torch.equal(moved["model.23.cv2.0.0.conv.weight"], state["model.23.cv2.0.0.conv.weight"])
    require_freezable(fitted)


def test_a_detectors_backbone_starts_a_classifier(tmp_path: Path) -> None:
    fitted = require_for_task(checkpoint_of(tmp_path, "yolov8n", "detect"), "classify")
    found = coverage(fitted, None, NAMES)
    assert (found.share("backbone"), found.share("head"), found.classes_matched) == (1.0, 0.0, 0)
    require_freezable(fitted)


def test_a_backbone_that_is_not_filled_is_never_frozen(tmp_path: Path) -> None:
    """YOLO11's classifier has no pooling pyramid, so that its attention lies a layer earlier than the detector's."""
    fitted = require_for_task(checkpoint_of(tmp_path, "yolo11n", "detect"), "classify")
    assert 0.5 < coverage(fitted, None, NAMES).share("backbone") < 1.0
    with pytest.raises(UsageError, match="9 \\(C2PSA\\)"):
        require_freezable(fitted)


def test_a_classifier_keeps_the_rows_of_classes_it_knows(tmp_path: Path) -> None:
    classifier = checkpoint_of(tmp_path, "yolov8n-cls", "classify")
    state, model = state_of("yolov8n-cls"), build_model("yolov8n-cls", 2)
    found = transfer(state, NAMES, model, ("unseen", NAMES[2]))
    assert torch.equal(model.state_dict()["model.9.linear.weight"][1], state["model.9.linear.weight"][2])
    assert not torch.equal(model.state_dict()["model.9.linear.weight"][0], state["model.9.linear.weight"][0])
    assert found == coverage(classifier, None, ("unseen", NAMES[2]))


def test_a_network_without_a_head_for_the_task_is_refused_by_name(tmp_path: Path) -> None:
    old = checkpoint_of(tmp_path, "yolov5n", "detect")
    assert for_task(old, "classify") is None
    with pytest.raises(UsageError, match="no image classifier"):
        require_for_task(old, "classify")


def test_unasked_only_detectors_start_other_tasks_but_the_users_own_start_any(tmp_path: Path) -> None:
    own = checkpoint_of(tmp_path, "yolov8n-cls", "classify")
    built_in = replace(own, origin="zoo")
    detector = replace(checkpoint_of(tmp_path, "yolov8n", "detect"), origin="zoo")
    assert that_fit([built_in], "detect") == ()
    assert [one.architecture for one in that_fit([own, detector], "segment")] == ["yolov8n-seg"] * 2


def test_scratch_is_as_those_that_were_trained_for_the_task(tmp_path: Path) -> None:
    detectors = [
        replace(checkpoint_of(tmp_path, "yolo11n", "detect"), name=f"d{number}") for number in range(3)
    ]
    classifier = checkpoint_of(tmp_path, "yolov8n-cls", "classify")
    assert scratch_architecture([*detectors, classifier], "classify") == "yolov8n-cls"
    assert scratch_architecture(detectors, "classify") == "yolo11n-cls"
    assert scratch_architecture([], "segment") == "yolo11n-seg"


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        ({"metrics/mAP50-95(B)": 0.61, "metrics/mAP50-95(M)": 0.42}, 0.42),
        ({"metrics/accuracy_top1": 0.9, "metrics/accuracy_top5": 1.0}, 0.9),
        ({"metrics/mAP50-95(B)": 0.5}, 0.5),
    ],
)
def test_what_a_training_reached_is_its_own_tasks_score(metrics: dict[str, float], score: float) -> None:
    assert facts_of({"train_metrics": metrics}, None)["score"] == score


def test_what_can_be_frozen_is_told_without_torch(tmp_path: Path) -> None:
    """A service asks before it takes a training: torch would take half a gigabyte of it for good."""
    code = (
        "import sys; from pathlib import Path; from recommender.store import Store; "
        "from recommender.checkpoints import get_checkpoint, require_freezable; "
        f"require_freezable(get_checkpoint(Store(Path({str(tmp_path / 'store.sqlite3')!r})), 'coco')); "
        "print('torch' in sys.modules)"
    )
    for _ in range(2):  # the first keeps the shapes of the network's tensors in the home, as any answer does
        done = run_command(*PYTHON, code)
    assert done.stdout.strip() == "False"
