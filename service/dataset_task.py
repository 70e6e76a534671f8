"""The task of a data set that the service holds, without opening it again."""

from __future__ import annotations

import json

from recommender.profile.known import source_profile
from recommender.store import Store
from recommender.store.service_records import HeldDataset
from recommender.tasks import Task, task_definition


def known_task(store: Store, held: HeldDataset) -> Task | None:
    """The task that its inspection or its profile was made for; None where neither is there yet."""
    if held.health is not None:
        told = json.loads(held.health).get("dataset", {})  # inspections of earlier versions name no task
        return task_definition(told.get("task", "detect")).name
    profile = source_profile(held.dataset_hash, store)
    return None if profile is None else profile.task


def task_of(store: Store, held: HeldDataset) -> Task:
    """The same; detection where nothing is known yet."""
    return known_task(store, held) or "detect"
