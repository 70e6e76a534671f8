"""Checkpoints of one task as starts for another: the same network under the other task's head.

A detector's backbone, neck and box branch fit a segmenter, its backbone a classifier; what does not fit stays behind,
and `coverage` counts it. The checkpoint keeps its own task, so that a mismatch can be shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from recommender.errors import UsageError
from recommender.families.ultralytics.architectures import architecture, of_task
from recommender.records import Checkpoint
from recommender.tasks import Task, task_definition
from recommender.text import printable


def for_task(checkpoint: Checkpoint, task: Task) -> Checkpoint | None:
    """The checkpoint with the architecture that a training for `task` gives it; None where none is shipped."""
    found = of_task(checkpoint.architecture, task)
    if found is None or found == checkpoint.architecture:
        return None if found is None else checkpoint
    return replace(checkpoint, architecture=found, family=architecture(found).family)


def require_for_task(checkpoint: Checkpoint, task: Task) -> Checkpoint:
    """The checkpoint as `for_task` gives it. Raises UsageError where its network has no head for the task."""
    found = for_task(checkpoint, task)
    if found is None:
        raise UsageError(
            f"{printable(checkpoint.name)} is a {checkpoint.architecture}: ultralytics ships no "
            f"{task_definition(task).noun} on that network.",
            remedy="`recommend checkpoints list` shows other starts.",
        )
    return found


def that_fit(checkpoints: Iterable[Checkpoint], task: Task) -> tuple[Checkpoint, ...]:
    """The checkpoints that start a training for `task` without being named, fitted to it.

    Built-in and public ones start their own task, detectors any; the user's own start whatever their weights fit.
    """
    fitted = (
        for_task(one, task) for one in checkpoints if one.task in (task, "detect") or one.origin == "registry"
    )
    return tuple(one for one in fitted if one is not None)
