"""The one network that random weights train, wherever a start from scratch is compared with others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recommender.checkpoints.registry import all_checkpoints
from recommender.families.ultralytics.architectures import of_task
from recommender.records import Checkpoint
from recommender.tasks import Task, task_definition

if TYPE_CHECKING:
    from recommender.store import Store


def scratch_architecture(checkpoints: Iterable[Checkpoint], task: Task = "detect") -> str:
    """The architecture that most of these checkpoints have for a task, so that scratch is compared with its like.

    Those trained for the task itself decide where there are any. Of two that are as common, the first by name; the
    task's default where there is no checkpoint.
    """
    fitted = {
        one.name: (one.task == task, own) for one in checkpoints if (own := of_task(one.architecture, task))
    }
    same_task = any(same for same, _ in fitted.values())
    counts = Counter(own for same, own in fitted.values() if same or not same_task)
    return min(counts, key=lambda name: (-counts[name], name), default=task_definition(task).architecture)


def checkpoints_at_hand(store: Store) -> tuple[Checkpoint, ...]:
    """Those whose weights are on this machine and that were added to stay: the starts of a question without names."""
    return tuple(found for found in all_checkpoints(store) if found.available and found.kept)
