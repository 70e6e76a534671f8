"""YOLO for instance segmentation: the detection head, mask coefficients beside each box, and prototype masks."""

from __future__ import annotations

from dataclasses import replace

from recommender.families.row import Shapes
from recommender.families.ultralytics.yolo import YOLO, class_rows


def mask_class_rows(head_layer: int, shapes: Shapes) -> set[str]:
    """The class rows of the detection head, and of YOLO26's semantic output, which only its training reads."""
    semantic = f"model.{head_layer}.proto.semseg.2."
    return class_rows(head_layer, shapes) | {key for key in shapes if key.startswith(semantic)}


SEGMENT = replace(
    YOLO,
    name="yolo-seg",
    task="segment",
    mark="proto.",
    heads=frozenset({"Segment", "Segment26"}),
    files=("yolo*-seg*.yaml",),
    model_class="SegmentationModel",
    validator=("ultralytics.models.yolo.segment", "SegmentationValidator"),
    class_rows=mask_class_rows,
)
