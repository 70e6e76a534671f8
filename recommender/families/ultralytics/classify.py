"""YOLO for image classification: a convolution on the backbone's last map, its mean, and one linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recommender.families.row import ModelFamily, Shapes, silence_rows


def class_rows(head_layer: int, shapes: Shapes) -> set[str]:
    """Keys of the linear layer, whose rows are classes."""
    return {key for key in shapes if key.startswith(f"model.{head_layer}.linear.")}


def class_base(key: str) -> str:
    """The head's convolution, which the linear layer reads."""
    return ".".join(key.split(".")[:2]) + ".conv."


def silence(head: Any, classes: Sequence[int]) -> None:
    """Silence these classes in the linear layer."""
    silence_rows([head.linear], classes)


CLASSIFY = ModelFamily(
    name="yolo-cls",
    task="classify",
    mark="linear.",
    heads=frozenset({"Classify"}),
    files=("yolo*-cls.yaml",),
    model_class="ClassificationModel",
    validator=("ultralytics.models.yolo.classify", "ClassificationValidator"),
    class_rows=class_rows,
    class_base=class_base,
    silence=silence,
    learning_rate_factor=2.0,  # measured on a set of flowers: docs/training.md
)
