"""The host of sweeps: told to end it lets another go on, a cluster that is away is waited for, the budget carries over.

Sweeps themselves are in other tests; here each is a function that ends as a sweep may end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recommender.datasets import open_dataset
from recommender.errors import UnavailableError
from recommender.records import Job
from recommender.requests import SweepRequest
from recommender.store import Store
from tests.datagen import make_dataset
from tests.tune_jobs.sweep_kit import trial_driver
from tune_jobs import sweep_host
from tune_jobs.hosting import JobLocation
from tune_jobs.sweep.grid import Swept
from tune_jobs.sweep.run import INTERRUPTED, SweepResult

PLACE = JobLocation(address="10.0.0.1:6379")


@pytest.fixture
def host(store: Store, monkeypatch: pytest.MonkeyPatch) -> sweep_host.SweepHost:
    """A host that looks often and soon has nothing to do."""
    for name, seconds in (("LOOK_EVERY_S", 0.01), ("IDLE_S", 0.05), ("MAX_PAUSE_S", 0.02)):
        monkeypatch.setattr(sweep_host, name, seconds)
    return sweep_host.SweepHost(store, PLACE)


def ask(store: Store, spec: str = "") -> Job:
    spec = spec or SweepRequest.model_validate({"datasets": ("nowhere",), "budget": "10m"}).model_dump_json()
    return store.jobs.create(
        kind=sweep_host.KIND, owner="ada", key="key", body_digests=("d",), cluster=PLACE.cluster, spec=spec
    )[0]


def ending(store: Store, reason: str | None) -> Swept:
    """A sweep without trials that ended for a reason."""
    return Swept(result=SweepResult(view=trial_driver([], store).view(), reason=reason), notices=())


def sweeps(monkeypatch: pytest.MonkeyPatch, work: Callable[..., Swept]) -> list[dict[str, Any]]:
    """Let `work` stand for every sweep; returns the options of each, as they come."""
    asked: list[dict[str, Any]] = []

    def one(request: SweepRequest, **options: Any) -> Swept:
        asked.append(options)
        return work()

    monkeypatch.setattr("tune_jobs.sweep.grid.sweep", one)
    return asked


def test_a_host_that_is_told_to_end_ends_and_the_next_one_goes_on(
    store: Store, host: sweep_host.SweepHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask(store)
    asked = sweeps(monkeypatch, lambda: ending(store, INTERRUPTED))
    host.run()
    after = store.jobs.require(job.id)
    assert (len(asked), after.status, after.attempt, after.crashes) == (1, "queued", 2, 0)


def test_a_sweep_that_the_version_before_accepted_fails_with_words(
    store: Store, host: sweep_host.SweepHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"datasets": ["nowhere"], "gpus_per_trial": 2}
    job = ask(store, json.dumps(spec))
    asked = sweeps(monkeypatch, lambda: ending(store, None))
    host.run()
    after = store.jobs.require(job.id)
    assert (after.status, after.crashes, asked) == ("failed", 0, [])
    assert "gpus_per_trial: Input should be less than or equal to 1" in (after.error or "")


def test_a_data_set_that_changed_since_is_not_mixed_in(
    store: Store, host: sweep_host.SweepHost, tmp_path: Path
) -> None:
    folder = make_dataset(tmp_path)
    spec = {"datasets": [str(folder)], sweep_host.HASHES: [open_dataset(folder).content_hash]}
    (folder / "labels" / "train" / "shape_0000.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    job = ask(store, json.dumps(spec))
    host.run()
    after = store.jobs.require(job.id)
    assert (after.status, after.crashes) == ("failed", 0)
    assert re.search("changed since it was given.*POST /v1/datasets.*ask for the sweep", after.error or "")


def test_a_cluster_that_is_away_is_waited_for(
    store: Store, host: sweep_host.SweepHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask(store)

    def away_at_first() -> Swept:
        if len(asked) <= sweep_host.MAX_CRASHES + 1:
            raise UnavailableError("Nothing answers.")
        return ending(store, None)

    def nobody(place: JobLocation) -> None:
        raise UnavailableError("Nothing answers.")

    monkeypatch.setattr(JobLocation, "require_answer", nobody)
    asked = sweeps(monkeypatch, away_at_first)
    host.run()
    after = store.jobs.require(job.id)
    assert (after.status, after.crashes, after.attempt) == ("succeeded", 0, len(asked))
    told = [json.loads(event.data)["message"] for event in store.jobs.every_event(job.id, "note")]
    assert told == ["Nothing answers."]


@pytest.mark.parametrize("reason", ["Ray Tune broke.", "ultralytics is not installed."])
def test_what_does_not_pass_by_waiting_is_given_up(
    reason: str, store: Store, host: sweep_host.SweepHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask(store)
    monkeypatch.setattr(JobLocation, "require_answer", lambda place: None)

    def breaks() -> Swept:
        raise UnavailableError(reason)

    asked = sweeps(monkeypatch, breaks)
    host.run()
    assert (store.jobs.require(job.id).status, len(asked)) == ("failed", sweep_host.MAX_CRASHES)


def test_what_earlier_attempts_cost_counts_in_the_next(
    store: Store, host: sweep_host.SweepHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask(store)
    cost = {"elapsed_s": 500.0, "spent_s": 500.0, "limit_s": 600.0, "device_s": 900.0, "device": "cpu"}
    store.launches.add_event(job.id, 1, "cost", {**cost, "waiting": 1, "running": 1, "ended": 0})
    asked = sweeps(monkeypatch, lambda: ending(store, None))
    host.run()
    before = asked[0]["before"]
    assert (before.elapsed_s, before.device_s) == (500.0, 900.0)
