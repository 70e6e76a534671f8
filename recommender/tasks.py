"""The tasks a data set may be for, and how their results are measured: one row a task.

The task of a data set decides the primary metric of every score, curve and interval about it. Everything else that
differs between tasks hangs from this table by the task's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["detect", "segment", "classify"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that a validation returns, in [0, 1]; larger is better."""

    name: str  # its key in JSON and in `EpochMetrics.details`
    label: str  # for people
    has_curve: bool = False  # whether comparisons draw its curve beside that of the score


@dataclass(frozen=True, kw_only=True)
class TaskDefinition:
    """The definition of a task: its names and its metrics."""

    name: Task
    noun: str  # what is trained: "object detector"
    name_in_full: str  # what people call the task: "object detection"
    one_object: str  # what an image is labelled with: "box"
    objects: str  # several of them, as a title or in a sentence
    whole_images: bool = False  # each image is of one class, and nothing in it has a place
    reference: str  # alias of the checkpoint where everybody starts
    architecture: str  # trained from scratch where there is no other start to compare with
    imgsz: int  # pixels that images are trained at where nobody says
    sizes_compared: bool = False  # tables are here of what model and image size bring, and of devices
    other_tables: str = ""  # what larger models are ranked by where no table here compares those of the task
    metric: Metric  # `score` means this one
    details: tuple[Metric, ...]  # beside it, in the order of tables


TASKS: tuple[TaskDefinition, ...] = (
    TaskDefinition(
        name="detect",
        noun="object detector",
        name_in_full="object detection",
        one_object="box",
        objects="boxes",
        reference="coco",
        architecture="yolo11n",
        imgsz=640,
        sizes_compared=True,
        metric=Metric(name="map50_95", label="mAP50-95"),
        details=(
            Metric(name="map50", label="mAP50"),
            Metric(name="map75", label="mAP75"),
            Metric(name="precision", label="precision"),
            Metric(name="recall", label="recall"),
        ),
    ),
    TaskDefinition(
        name="segment",
        noun="instance segmenter",
        name_in_full="instance segmentation",
        one_object="outline",
        objects="outlines",
        reference="coco-seg",
        architecture="yolo11n-seg",
        imgsz=640,
        other_tables="What a larger or newer segmenter brings is taken from published tables of the detectors on the "
        "same networks: no table here compares segmenters on data like yours.",
        metric=Metric(name="mask_map50_95", label="mask mAP50-95"),
        details=(
            Metric(name="mask_map50", label="mask mAP50"),
            Metric(name="map50_95", label="box mAP50-95", has_curve=True),
            Metric(name="map50", label="box mAP50"),
            Metric(name="precision", label="mask precision"),
            Metric(name="recall", label="mask recall"),
        ),
    ),
    TaskDefinition(
        name="classify",
        noun="image classifier",
        name_in_full="image classification",
        one_object="labelled image",
        objects="images",
        whole_images=True,
        reference="imagenet",
        architecture="yolov8n-cls",
        imgsz=224,
        other_tables="What a larger or newer classifier brings on data like yours stands in no table here: those to "
        "be fetched are ranked by their published ImageNet accuracy, which moves a forecast little.",
        metric=Metric(name="top1", label="top-1 accuracy"),
        details=(Metric(name="top5", label="top-5 accuracy"),),
    ),
)


_BY_NAME: dict[str, TaskDefinition] = {row.name: row for row in TASKS}


def task_definition(name: str) -> TaskDefinition:
    """The row of this task."""
    return _BY_NAME[name]


# What other heads of ultralytics' models are for: their weights start ours, as those of detectors.
FOREIGN_TASKS = {"pose": "poses", "obb": "oriented boxes"}


def task_change(own: Task, foreign: str | None, task: Task) -> str | None:
    """ "was an object detector and becomes an image classifier"; None where weights of `own` start their own task.

    `foreign` is what their head is for where it is none of ours.
    """
    if own == task and foreign is None:
        return None
    before = f"an {task_definition(own).noun}" if foreign is None else f"a model of {FOREIGN_TASKS[foreign]}"
    return f"was {before} and becomes an {task_definition(task).noun}"
