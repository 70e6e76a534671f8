"""The tasks a data set may be for, and how their results are measured: one row a task.

The task of a data set decides the primary metric of every score, curve and interval about it. Everything else that
differs between tasks hangs from this table by the task's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["detect"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that a validation returns, in [0, 1]; larger is better."""

    name: str  # its key in JSON and in `EpochMetrics.details`
    label: str  # for people


@dataclass(frozen=True, kw_only=True)
class TaskDefinition:
    """What a task is called and how its results are measured."""

    name: Task
    noun: str  # what is trained: "object detector"
    metric: Metric  # `score` means this one
    details: tuple[Metric, ...]  # beside it, in the order of tables


TASKS: tuple[TaskDefinition, ...] = (
    TaskDefinition(
        name="detect",
        noun="object detector",
        metric=Metric(name="map50_95", label="mAP50-95"),
        details=(
            Metric(name="map50", label="mAP50"),
            Metric(name="map75", label="mAP75"),
            Metric(name="precision", label="precision"),
            Metric(name="recall", label="recall"),
        ),
    ),
)


def task_definition(name: Task) -> TaskDefinition:
    """The row of this task."""
    return next(row for row in TASKS if row.name == name)
