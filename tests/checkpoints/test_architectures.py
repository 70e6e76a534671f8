"""Architectures by name, and recognised from tensors."""

from __future__ import annotations

import pytest
import torch

from recommender.checkpoints import build_model
from recommender.errors import CheckpointError, UsageError
from recommender.families.ultralytics.architectures import (
    architecture,
    architectures,
    of_task,
)
from recommender.families.ultralytics.models import model_shapes, tensor_shapes
from recommender.families.ultralytics.recognition import recognise
from recommender.tasks import Task
from tests.checkpoints.kit import state_of, yolov5_state

SAMPLE = ("yolo11n", "yolov8n", "yolov9e", "yolov3-tiny")


def shapes_of(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def test_every_catalogue_family_and_size_is_there() -> None:
    for family in ("yolov5", "yolov8", "yolo11", "yolo12", "yolo26"):
        for size in "nsmlx":
            assert architecture(f"{family}{size}").family == family


def test_only_models_of_our_tasks_are_listed() -> None:
    assert not [
        name for name in architectures() if any(other in name for other in ("pose", "obb", "world", "yoloe"))
    ]
    for name, entry in architectures().items():
        assert ("-seg" in name, "-cls" in name) == (
            entry.kind.task == "segment",
            entry.kind.task == "classify",
        )


@pytest.mark.parametrize(
    ("name", "task", "other"),
    [
        ("yolo11n", "segment", "yolo11n-seg"),
        ("yolo11n-seg", "detect", "yolo11n"),
        ("yolov8n-cls", "segment", "yolov8n-seg"),
        ("yolov8n-p6", "segment", "yolov8n-seg-p6"),
        ("yolo26m", "detect", "yolo26m"),
        ("yolov5n", "classify", None),
        ("rtdetr-l", "segment", None),
        ("yolov8n-rtdetr", "classify", None),
    ],
)
def test_the_same_network_for_another_task(name: str, task: Task, other: str | None) -> None:
    assert of_task(name, task) == other


@pytest.mark.parametrize(
    "name", ["yolo99n", "", "../../etc/passwd", "/tmp/evil.yaml", "yolo11n.yaml", "yolo11n-pose"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="yolo11n"):
        build_model(name, 3)


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_impossible_class_counts_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match="between 1 and 10000"):
        build_model("yolo11n", count)


def test_models_follow_the_generator() -> None:
    torch.manual_seed(1)
    again = build_model("yolo11n", 3).state_dict()
    one, other = state_of(seed=1), state_of()
    assert all(torch.equal(one[key], again[key]) for key in one if not key.endswith("bn.bias"))
    assert not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "width"),
    [
        ("yolo11n", 2, None),
        ("yolo11n", 2, 80),
        ("yolo11n", 200, None),
        ("yolov8n", 1, 80),
        ("yolov10n", 5, 80),
    ],
)
def test_shapes_without_a_model_are_those_of_the_model(name: str, classes: int, width: int | None) -> None:
    model = build_model(name, classes, class_width=width)
    found = tensor_shapes(name, classes, width)
    real = model_shapes(model.model, architecture(name).num_backbone_layers)
    assert (found.tensors, found.parameters, found.modules) == (real.tensors, real.parameters, real.modules)
    assert found.num_parameters == sum(parameter.numel() for parameter in model.parameters())


def test_a_widened_head_still_predicts() -> None:
    model = build_model("yolov8n", 2, class_width=80).eval()
    build_model("yolo11n", 2)  # parsing another family must not leak into the first
    assert model(torch.zeros(1, 3, 64, 64))[0].shape == (1, 6, 84)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_tensors_tell_their_architecture(name: str) -> None:
    found = recognise(tensor_shapes(name, 7).tensors, activation=architecture(name).activation)
    assert (found.architecture.name, found.extent, found.num_classes) == (name, "whole", 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(architectures()) - set(SAMPLE)))
def test_every_architecture_is_told_from_every_other(name: str) -> None:
    found = recognise(tensor_shapes(name, 7).tensors, activation=architecture(name).activation)
    # YOLO26's classifiers are YOLO11's, layer by layer: nothing tells them apart but the name.
    plainest = name.replace("yolo26", "yolo11") if name.endswith("-cls") else name
    assert (found.architecture.name, found.num_classes) == (plainest, 7)


def test_an_anchor_head_leaves_the_body() -> None:
    found = recognise(shapes_of(yolov5_state(43)))
    assert (found.architecture.name, found.extent, found.num_classes) == ("yolov5n", "body", 43)


def test_grey_input_is_no_other_architecture() -> None:
    shapes = tensor_shapes("yolo11n", 3).tensors
    shapes = shapes | {"model.0.conv.weight": (16, 1, 3, 3)}
    assert recognise(shapes).architecture.name == "yolo11n"


@pytest.mark.slow
def test_half_a_backbone_is_recognised_as_such() -> None:
    shapes = {
        key: shape for key, shape in tensor_shapes("yolo11s", 3).tensors.items() if int(key.split(".")[1]) < 9
    }
    found = recognise(shapes | {"model.10.linear.weight": (1000, 1280)}, task="classification")
    assert (found.architecture.name, found.extent, found.num_classes) == ("yolo11s-cls", "backbone", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # The shapes of all architectures are built to name the closest.
        pytest.param({"model.0.conv.weight": (17, 3, 3, 3)}, "closest", marks=pytest.mark.slow),
        (
            {"model.5.conv.weight": (128, 64, 5, 5), "model.1.conv.weight": (32, 16, 7, 7)},
            "fit no architecture",
        ),
    ],
)
def test_custom_architectures_are_refused(changes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        recognise(tensor_shapes("yolo11n", 3).tensors | changes)


def test_fused_weights_are_refused() -> None:
    shapes = {key: shape for key, shape in tensor_shapes("yolo11n", 3).tensors.items() if ".bn." not in key}
    with pytest.raises(CheckpointError, match="fused"):
        recognise(shapes | {"model.0.conv.bias": (16,)})


def test_another_activation_is_refused() -> None:
    with pytest.raises(CheckpointError, match="LeakyReLU"):
        recognise(tensor_shapes("yolo11n", 3).tensors, activation="nn.LeakyReLU(0.1)")
    assert (
        recognise(tensor_shapes("yolo11n", 3).tensors, activation="torch.nn.SiLU()").architecture.name
        == "yolo11n"
    )


def test_names_of_another_library_are_refused() -> None:
    with pytest.raises(CheckpointError, match="not named like"):
        recognise({"layer1.weight": (3, 3), "fc.bias": (10,)}, task="resnet")
