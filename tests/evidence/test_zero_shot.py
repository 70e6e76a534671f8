"""The zero-shot scores: a checkpoint's own answers, where it shares classes with the target by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.checkpoints.zoo import zoo
from recommender.datasets import open_dataset
from recommender.evidence.samples import SAMPLE_SIZE, TargetSample, sample_target
from recommender.evidence.zero_shot import OBJECT_IMAGES, zero_shot_accuracy, zero_shot_map
from recommender.records import Checkpoint, Dataset
from recommender.tasks import Task
from tests.datagen import make_dataset
from tests.evidence.kit import random_checkpoint

NAMES = ("other", "red fox", "hummingbird", "zebra")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A classifier of four classes that answers by brightness alone: its linear layer is set by hand."""
    import torch
    from safetensors.torch import load_file

    from tests.evidence.kit import stored

    folder = tmp_path_factory.mktemp("zero")
    made = random_checkpoint(folder, architecture="yolov8n-cls")
    assert made.path is not None
    state = load_file(made.path)
    for key in state:  # every convolution passes nothing on: the head sees its own bias
        if key.endswith("linear.weight"):
            state[key] = torch.zeros(len(NAMES), state[key].shape[1])
        if key.endswith("linear.bias"):
            state[key] = torch.tensor([5.0, 1.0, 2.0, 0.0])  # always "other", and of the rest "hummingbird"
    return replace(stored(folder, "answers", state, "yolov8n-cls"), class_names=NAMES, task="classify")


def sample(class_names: tuple[str, ...], labels: list[int]) -> TargetSample:
    count = len(labels)
    return TargetSample(
        squares_N3SS=np.zeros((count, 3, 32, 32), np.uint8),
        boxes=tuple(np.array([[0.0, 0.0, 1.0, 1.0]]) for _ in labels),
        labels_M=np.array(labels, np.int64),
        images_M=np.arange(count),
        shapes_M4=np.tile([0.5, 0.5, 1.0, 1.0], (count, 1)),
        task="classify",
        class_names=class_names,
    )


@pytest.mark.parametrize(
    ("class_names", "expected"),
    [
        (("Hummingbirds", "red_fox", "unknown"), 0.6),
        (("n01833805", "n02119022-red_fox", "unknown"), 0.6),  # as ImageNet's folders are called
        (("red_fox", "Zebra", "unknown"), 0.6),  # of the two that are shared always the first
        (("Hummingbirds", "unknown", "red pandas"), None),  # one class leaves no choice
    ],
)
def test_only_shared_classes_and_their_images_count(
    classifier: Checkpoint, class_names: tuple[str, ...], expected: float | None
) -> None:
    labels = [0] * 6 + [1] * 4 + [2] * 5
    assert zero_shot_accuracy(classifier, sample(class_names, labels)) == expected


def test_it_is_not_defined_for_few_images_and_other_heads(classifier: Checkpoint, tmp_path: Path) -> None:
    few = sample(("hummingbird", "red fox"), [0, 1] * 3)
    assert zero_shot_accuracy(classifier, few) is None
    enough = sample(("hummingbird", "red fox"), [0, 1] * 6)
    assert zero_shot_accuracy(classifier, enough) == 0.5
    assert zero_shot_accuracy(random_checkpoint(tmp_path), enough) is None
    assert zero_shot_accuracy(replace(classifier, class_names=None), enough) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "task", "name"),
    [("data/coco_mini", "detect", "coco-yolo11n"), ("seg/coco_seg_mini", "segment", "coco-yolo11n-seg")],
)
def test_map_is_what_a_validation_of_the_whole_checkpoint_counts(
    shared: Path, folder: str, task: Task, name: str
) -> None:
    from recommender.checkpoints import restore_model
    from tune_jobs.compare.scoring import export_held_out, validate

    whole = open_dataset(shared / folder, task=task)
    images = [image for image in whole.of_split("train") if len(image.boxes_M4)][:OBJECT_IMAGES]
    few = replace(whole, images=tuple(images), content_hash=f"{task}-some")
    checkpoint = next(one for one in zoo() if one.name == name)
    model = restore_model(checkpoint).eval()
    data = export_held_out(few, "train")
    counted, _ = validate(model, data, "train", imgsz=SAMPLE_SIZE, device="cpu")
    found = zero_shot_map(checkpoint, sample_target(few))
    assert counted.score > 0.2
    assert found == pytest.approx(counted.score, abs=0.03)  # squares here, there borders as narrow as can be


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Boxes of circles and squares."""
    return open_dataset(make_dataset(tmp_path_factory.mktemp("drawn"), images=10, boxes=3))


def test_map_is_defined_where_a_detector_knows_a_class(drawn: Dataset, tmp_path: Path) -> None:
    detector = random_checkpoint(tmp_path)
    known = replace(detector, class_names=(drawn.class_names[0], "unheard of"))
    sampled = sample_target(drawn)
    found = zero_shot_map(known, sampled)
    assert found is not None
    assert 0.0 <= found < 0.1, "random weights"
    assert zero_shot_map(replace(detector, class_names=("unknown", "unheard of")), sampled) is None
    assert zero_shot_map(replace(known, task="segment"), sampled) is None
    assert zero_shot_map(replace(known, foreign_task="pose"), sampled) is None
    assert zero_shot_map(known, sample_target(replace(drawn, images=drawn.images[:1]))) is None, "few objects"
