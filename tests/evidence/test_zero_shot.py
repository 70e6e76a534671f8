"""The zero-shot score of a classifier: its own answers, where it shares classes with the target by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.evidence.samples import TargetSample
from recommender.evidence.zero_shot import zero_shot_accuracy
from recommender.records import Checkpoint
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
