"""The task of a data set that the service holds, without opening it again."""

from __future__ import annotations

import json
from collections.abc import Collection

from recommender.datasets.defect_kinds import KINDS
from recommender.errors import UsageError
from recommender.profile.known import source_profile
from recommender.store import Store
from recommender.store.service_records import RegisteredDataset
from recommender.tasks import Task, task_definition
from service.problems import in_fields

# Kinds of findings that tell why a data set is read for its task, where another may have been meant.
TASK_FINDINGS = ("outline_rectangle", "label_outline", "task_detect", "task_segment")


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
    """The task as `known_task` tells it; detection where nothing is known yet."""
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


def task_note(findings: Collection[str]) -> str | None:
    """The reason why a data set with these kinds of findings is read for its task; None where the labels are clear."""
    kind = next((one for one in TASK_FINDINGS if one in findings), None)
    return None if kind is None else in_fields(f"{KINDS[kind].title.capitalize()}: {KINDS[kind].remedy}")
