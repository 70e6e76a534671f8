"""Trained weights on their way into the registry, while others remove the same ones or the disk fills."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from recommender.checkpoints import remove_checkpoint
from recommender.records import Job
from recommender.store import Store
from tests.tune_jobs.launch_kit import Workshop, finished


def trained(workshop: Workshop, key: str) -> Job:
    """A training that has succeeded; the same request trains the same weights."""
    ended = finished(workshop, workshop.ask(key, name=key))
    assert ended.status == "succeeded", ended.error
    return ended


@pytest.mark.slow
def test_a_removal_waits_until_the_same_trained_weights_are_registered(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained(workshop, "first")
    finish, removing = workshop.store.launches.finish, threading.Thread()

    def remove() -> None:
        with Store(workshop.store.url) as own:
            remove_checkpoint(own, str(first.checkpoint))

    def slow_finish(*asked: Any, **told: Any) -> bool:
        nonlocal removing
        removing = threading.Thread(target=remove)
        removing.start()
        removing.join(timeout=1)  # in vain
        return finish(*asked, **told)

    monkeypatch.setattr(workshop.store.launches, "finish", slow_finish)
    second = trained(workshop, "second")
    removing.join()
    assert workshop.store.checkpoints.get(str(first.checkpoint)) is None
    registered = workshop.store.checkpoints.get(str(second.checkpoint))
    assert registered is not None
    assert registered.path is not None
    assert registered.path.exists()


@pytest.mark.slow
def test_weights_of_a_job_that_ended_meanwhile_are_not_kept(
    workshop: Workshop, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = workshop.store.launches.finish

    def too_late(id: str, attempt: int, **told: Any) -> bool:
        finish(id, attempt, status="cancelled")
        return finish(id, attempt, **told)

    monkeypatch.setattr(workshop.store.launches, "finish", too_late)
    ended = finished(workshop, workshop.ask("key", name="mine"))
    assert ended.status == "cancelled"
    assert list((home / "checkpoints").iterdir()) == []
