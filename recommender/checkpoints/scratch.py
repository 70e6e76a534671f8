"""The one network that random weights train, wherever a start from scratch is compared with others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recommender.checkpoints.registry import all_checkpoints
from recommender.errors import UsageError
from recommender.families.ultralytics.architectures import architecture, of_task
from recommender.records import Checkpoint
from recommender.tasks import Task, task_definition

if TYPE_CHECKING:
    from recommender.store import Store


def scratch_architecture(
    checkpoints: Iterable[Checkpoint], task: Task = "detect", *, asked: str | None = None
) -> str:
    """The architecture asked for, else the one that most of these checkpoints have for a task.

    So scratch is compared with its like. Those trained for the task itself decide where there are any. Of two that are
    as common, the first by name; the task's default where there is no checkpoint. Raises UsageError as
    `require_architecture`.
    """
    if asked is not None:
        require_architecture(asked, task)
        return asked
    fitted = {
        one.name: (one.task == task, own) for one in checkpoints if (own := of_task(one.architecture, task))
    }
    same_task = any(same for same, _ in fitted.values())
    counts = Counter(own for same, own in fitted.values() if same or not same_task)
    return min(counts, key=lambda name: (-counts[name], name), default=task_definition(task).architecture)


def require_architecture(name: str, task: Task) -> None:
    """Raise UsageError for an architecture that is not shipped, or is of another task: before anything is trained."""
    if architecture(name).kind.task != task:
        wanted = task_definition(task)
        raise UsageError(
            f"{name} is no {wanted.noun}.",
            remedy=f"Name one such as {wanted.architecture}, or leave the architecture out.",
        )


def checkpoints_at_hand(store: Store) -> tuple[Checkpoint, ...]:
    """The checkpoints on this machine that were added to stay: the starts of a question without names."""
    return tuple(found for found in all_checkpoints(store) if found.available and found.kept)
