"""The task of a data set that the service holds, without opening it again."""

from __future__ import annotations

import json

from recommender.errors import UsageError
from recommender.profile.known import source_profile
from recommender.store import Store
from recommender.store.service_records import RegisteredDataset
from recommender.tasks import Task, task_definition


def known_task(store: Store, held: RegisteredDataset) -> Task | None:
    """The task that it was read for; None where a version before 0.2 took it in and nothing tells yet."""
    if held.task is not None:
        return held.task
    if held.health is not None:  # its inspection, else its profile, was made for a task
        told = json.loads(held.health).get("dataset", {})  # inspections of earlier versions name no task
        return task_definition(told.get("task", "detect")).name
    profile = source_profile(held.dataset_hash, store)
    return None if profile is None else profile.task


def task_of(store: Store, held: RegisteredDataset) -> Task:
    """The same; detection where nothing is known yet."""
    return known_task(store, held) or "detect"


def require_task(store: Store, held: RegisteredDataset, asked: Task | None) -> None:
    """Raise UsageError where another task is asked for than the data set was read for: its labels would differ."""
    known = known_task(store, held)
    if asked is not None and known is not None and asked != known:
        wanted = task_definition(asked).name_in_full
        raise UsageError(
            f"{held.name} was read for {task_definition(known).name_in_full}, not for {wanted}.",
            remedy=f'Give it again for it, POST /v1/datasets with "task": "{asked}", or leave the task out.',
        )
