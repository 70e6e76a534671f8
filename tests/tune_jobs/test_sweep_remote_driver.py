"""A sweep driven from outside the cluster: questions, answers, and a driver that goes away."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from recommender.errors import UnavailableError
from recommender.store import Store
from tests.store.builders import point
from tests.tune_jobs.sweep_kit import actor_event, finished, packed, paper_trials, trial_driver
from tune_jobs.sweep import remote_driver
from tune_jobs.sweep.remote_driver import DriverStatus, Host, RemoteTrialDriver, _answer, status_of
from tune_jobs.sweep.trial_driver import TrialDriver


class Driver:
    """Answers a remote trial driver's questions from a thread of its own, as the process of the user does."""

    def __init__(self, remote: RemoteTrialDriver, driver: TrialDriver) -> None:
        self._remote, self._brain = remote, driver
        self._goes_on = True
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Driver:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._goes_on = False
        self._thread.join()

    def _serve(self) -> None:
        answers: dict[int, Any] = {}
        while self._goes_on:
            questions = self._remote.exchange(answers, status_of(self._brain))
            answers = {number: _answer(self._brain, method, given) for number, method, given in questions}


def test_a_whole_sweep_driven_from_outside(store: Store) -> None:
    specs = paper_trials(3)
    driver, remote = trial_driver(specs, store, slots=1), RemoteTrialDriver()
    with Driver(remote, driver):
        order = []
        while (id := remote.next_id()) is not None:
            remote.started(id)
            assert remote.accepts(id)
            spec = next(spec for spec in specs if spec.id == id)
            assert remote.receive(id, {**actor_event(id, "epoch", epoch=point(1)), "more": object()}) is None
            remote.receive(id, actor_event(id, "run", run=finished(spec, [0.1, 0.2, 0.3])))
            order.append(id)
    assert order == [spec.id for spec in specs]
    assert driver.is_over()
    assert {run.id for run in store.runs.list()} == set(order)


def test_losses_and_reasons_pass_through(store: Store) -> None:
    (spec,) = paper_trials(1)
    driver, remote = trial_driver([spec], store), RemoteTrialDriver()
    with Driver(remote, driver):
        remote.started(remote.next_id() or "")
        assert remote.worker_lost(spec.id, "its node died")
        driver.stop("cancelled")
        until = time.monotonic() + 10
        while remote.stop_reason() is None and time.monotonic() < until:
            time.sleep(0.05)
    assert remote.stop_reason() == "cancelled"
    assert remote.is_over()
    assert remote.next_id() is None


@pytest.mark.slow
def test_without_a_driver_the_sweep_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_driver, "DRIVER_GONE_S", 1.0)
    remote = RemoteTrialDriver()
    remote.exchange({}, DriverStatus(wanted=frozenset({"a"})))
    assert remote.stop_reason() is None
    assert remote.worker_lost("a", "its node died") is False  # asked, and nobody answers
    assert remote.stop_reason() == "the driver is gone"


def test_the_cluster_may_not_call_what_it_likes(store: Store) -> None:
    driver = trial_driver(paper_trials(1), store)
    for method in ("close", "stop", "__init__", "_guarded"):
        with pytest.raises(UnavailableError, match="asks"):
            _answer(driver, method, ())


def test_artefacts_are_handed_over_chunk_by_chunk(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact = packed(tmp_path / "data")
    content = artefact.source.read_bytes()
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "head"))
    host = Host()
    assert not host.has(artefact)
    host.write(remote_driver._arrived(artefact), "one", 0, content[:1000], last=False)
    assert not host.has(artefact)
    host.write(remote_driver._arrived(artefact), "one", 1000, content[1000:], last=True)
    assert host.has(artefact)
