"""Any order of requests, steps, crashes, freezes, losses and returns keeps the promises of a launch (R16).

Real store, storage, launchers and attempts; the cluster is a table, and an attempt's training is a script that this
machine advances epoch by epoch.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recommender.errors import UnavailableError
from recommender.records import Recipe, Start
from recommender.store import Store
from recommender.store.records_json import encode
from tests.store.builders import point
from tests.store.builders import run as make_run
from tune_jobs.artefact_transfer import Artefact
from tune_jobs.finalising import WEIGHTS
from tune_jobs.launcher import Launcher, LauncherSettings
from tune_jobs.messages import CARD, OUTCOME, AttemptOutcome, InputManifest, Report, ResultFile
from tune_jobs.ray_jobs import State, Submission
from tune_jobs.storage import UrlStorage, attempt, inputs, put_record, report
from tune_jobs.training_spec import TrainingSpec

EPOCHS = 2


class Killed(BaseException):
    """This launcher's process is gone."""


@dataclass
class Body:
    """One attempt on the table: how far it is, and what the cluster believes."""

    job: str
    epoch: int
    done: int = 0
    over: bool = False  # its process has ended
    state: State = "running"


class TableCluster:
    """Ids are taken once. It can be away, forget, and lose nodes."""

    def __init__(self) -> None:
        self.bodies: dict[str, Body] = {}
        self.forgotten: list[Body] = []
        self.submissions: list[str] = []
        self.away = False

    def submit(self, submission: Submission) -> None:
        self._answer()
        if submission.id not in self.bodies:
            self.submissions.append(submission.id)
            self.bodies[submission.id] = Body(job=submission.command[-2], epoch=int(submission.command[-1]))

    def state(self, id: str) -> State | None:
        self._answer()
        return self.bodies[id].state if id in self.bodies else None

    def last_words(self, id: str) -> str | None:
        self._answer()
        return None

    def stop(self, id: str) -> None:
        self._answer()
        if id in self.bodies and self.bodies[id].state == "running":
            self.bodies[id].state, self.bodies[id].over = "stopped", True

    def _answer(self) -> None:
        if self.away:
            raise UnavailableError("The cluster is away.")


class Launches(RuleBasedStateMachine):
    """The promises, while hypothesis plays the fates."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="launches-")
        self.store = Store(Path(self.folder.name) / "store.sqlite3")
        self.storage = UrlStorage(f"{self.folder.name}/storage")
        self.cluster = TableCluster()
        self.now = 0.0
        self.launchers = [self._launcher(), self._launcher()]
        self.jobs: list[str] = []
        self.ended: dict[str, Any] = {}
        self.frozen: list[Frozen] = []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            for frozen in self.frozen:
                frozen.go_on()
            self._drain()
            self.store.close()
            self.folder.cleanup()

    def _launcher(self) -> Launcher:
        chosen = LauncherSettings(cluster="table", storage_url=self.storage.url, max_crashes=3, ttl_s=10)
        return Launcher(self.store, self.cluster, self.storage, chosen, clock=lambda: self.now)

    # ── what people do ──

    @rule(key=st.sampled_from(["a", "b"]))
    def ask(self, key: str) -> None:
        job, new = self.store.jobs.create(
            kind="training", owner="", key=key, body_digests=(key,), cluster="table", spec=encode(spec(key))
        )
        assert new == (job.id not in self.jobs)
        if new:
            self.jobs.append(job.id)
            artefact = Artefact(kind="dataset", key="k", sha256="s", num_bytes=0, source=Path("x"))
            card = InputManifest(spec=spec(key), data=artefact, weights=None, num_threads=1, state_every_s=0)
            put_record(self.storage, inputs(job.id, CARD), card)

    @rule(data=st.data(), meant=st.integers(0, 3))
    def cancel(self, data: st.DataObject, meant: int) -> None:
        if self.jobs and not meant:
            self.store.jobs.request_cancel(data.draw(st.sampled_from(self.jobs)))

    # ── what launchers do, and what becomes of them ──

    @rule(which=st.integers(0, 1), at=st.integers(0, 20))
    def step_and_perhaps_die(self, which: int, at: int) -> None:
        """Step; at the at-th call out of the launcher its process dies, for numbers that are reached."""
        with calling(self.launchers[which], at, die):
            try:
                self.launchers[which].step()
            except Killed:
                self.launchers[which] = self._launcher()

    @rule(which=st.integers(0, 1), later_s=st.sampled_from([0.0, 4.0, 11.0]))
    def step(self, which: int, later_s: float) -> None:
        self.launchers[which].step()  # so that it has seen the leases as they are
        self.now += later_s
        self.launchers[which].step()

    @rule(which=st.integers(0, 1), at=st.integers(0, 20))
    def step_and_perhaps_freeze(self, which: int, at: int) -> None:
        """Step; at the at-th call out of the launcher it stands still, and another one takes its place."""
        frozen = Frozen(self.launchers[which], at)
        if frozen.stands_still:
            self.frozen.append(frozen)
            self.launchers[which] = self._launcher()

    @precondition(lambda self: self.frozen)
    @rule(data=st.data())
    def a_frozen_launcher_goes_on(self, data: st.DataObject) -> None:
        """As if no time had passed for it, however much has."""
        self.frozen.pop(data.draw(st.integers(0, len(self.frozen) - 1))).go_on()

    # ── what happens on the cluster ──

    @rule(data=st.data(), epochs=st.integers(1, EPOCHS + 1))
    def an_attempt_advances(self, data: st.DataObject, epochs: int) -> None:
        """Any that lives, those the cluster has given up or forgotten among them."""
        alive = [b for b in (*self.cluster.bodies.values(), *self.cluster.forgotten) if not b.over]
        if alive:
            body = data.draw(st.sampled_from(alive))
            for _ in range(min(epochs, EPOCHS + 1 - body.done)):
                self._advance(body)

    @rule(data=st.data(), how=st.sampled_from(["is lost", "dies", "is forgotten"]))
    def an_attempt_fails(self, data: st.DataObject, how: str) -> None:
        running = [id for id, body in self.cluster.bodies.items() if body.state == "running"]
        if not running:
            return
        id = data.draw(st.sampled_from(running))
        body = self.cluster.bodies[id]
        if how == "is forgotten":  # a new head; its process may live on
            self.cluster.forgotten.append(self.cluster.bodies.pop(id))
        else:
            body.state, body.over = "failed", how == "dies"

    @rule(away=st.booleans())
    def the_cluster_is_away(self, away: bool) -> None:
        self.cluster.away = away

    def _advance(self, body: Body) -> None:
        if body.done < EPOCHS:
            put_record(
                self.storage, report(body.job, body.epoch, body.done), Report(points=(point(body.done + 1),))
            )
            body.done += 1
            return
        leave_outcome(self.storage, Path(self.folder.name), body)
        body.over = True
        if body.state == "running":
            body.state = "succeeded"

    def _drain(self) -> None:
        """Left alone, everything comes to an end."""
        self.cluster.away = False
        for _ in range(200):
            self.now += 4.0
            for launcher in self.launchers:
                launcher.step()
            for body in list(self.cluster.bodies.values()):
                if body.state == "running":
                    self._advance(body)
            if not self.store.launches.active("table"):
                break
        assert self.store.launches.active("table") == ()
        self.each_promise_holds()

    # ── the promises ──

    @invariant()
    def each_promise_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        known = {(body.job, body.epoch) for body in (*self.cluster.bodies.values(), *self.cluster.forgotten)}
        runs, names = self.store.runs.list(), {c.name for c in self.store.checkpoints.list()}
        for id in self.jobs:
            job = self.store.jobs.require(id)
            events = self.store.jobs.events(id)
            assert [e.seq for e in events] == list(range(1, len(events) + 1))
            curve = [json.loads(e.data)["epoch"] for e in events if e.kind == "epoch"]
            assert curve == sorted(set(curve))
            assert job.attempt >= job.crashes + 1
            assert job.crashes <= 2  # the third ends it
            assert not job.submitted or (id, job.attempt) in known, "a launch was lost"
            if id in self.ended:
                assert job == self.ended[id], "an end is final"
            elif job.ended:
                self.ended[id] = job
            if job.status == "succeeded":
                assert job.checkpoint in names
                assert f"attempt-{job.attempt}/" in str(job.artefacts), "an older attempt was heard"
                assert job.run_id in {run.id for run in runs}
                assert curve == list(range(1, EPOCHS + 1))
        succeeded = [self.store.jobs.require(id) for id in self.jobs]
        assert len(names) == sum(job.status == "succeeded" for job in succeeded)
        assert len(runs) == len(names)


def spec(key: str) -> TrainingSpec:
    return TrainingSpec(
        dataset="/x",
        dataset_hash="h",
        dataset_name="d",
        split_seed=0,
        start=Start(checkpoint="scratch", mode="scratch"),
        architecture="yolo11n",
        weights_sha256=None,
        class_names=None,
        source_hash=None,
        recipe=Recipe(epochs=EPOCHS, imgsz=64),
        name=f"result-{key}",
        licence=None,
        gpus=0,
        cpus=1,
    )


def leave_outcome(storage: UrlStorage, folder: Path, body: Body) -> None:
    import hashlib

    import numpy as np
    from safetensors.numpy import save

    content = save({"w": np.full(3, body.epoch, np.float32)}, metadata={"class_names": '["a"]'})
    file = folder / "weights"
    file.write_bytes(content)
    storage.put(attempt(body.job, body.epoch, f"results/{WEIGHTS}"), file)
    found = ResultFile(name=WEIGHTS, sha256=hashlib.sha256(content).hexdigest(), num_bytes=len(content))
    run = replace(make_run(f"run-{body.job}"), status="succeeded")
    put_record(
        storage,
        attempt(body.job, body.epoch, OUTCOME),
        AttemptOutcome(status="succeeded", run=run, files=(found,)),
    )


@contextmanager
def calling(launcher: Launcher, at: int, then: Callable[[], None]) -> Iterator[None]:
    """Do something at this launcher's `at`-th call to the store, the storage or the cluster, before or after it."""
    moments = iter(range(10**6))

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if next(moments) == at:
                then()
            result = call(*arguments, **options)
            if next(moments) == at:
                then()
            return result

        return wrapped

    class Around:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            value = getattr(self.inner, name)
            return around(value) if callable(value) else value

    kept = {name: getattr(launcher, name) for name in ("_store", "_storage", "_cluster")}
    for name, part in kept.items():
        setattr(launcher, name, Around(part))
    try:
        yield
    finally:
        for name, part in kept.items():
            setattr(launcher, name, part)


def die() -> None:
    raise Killed


class Frozen:
    """A launcher that stands still in the middle of a step, as under SIGSTOP, until told to go on."""

    def __init__(self, launcher: Launcher, at: int) -> None:
        self._stopped, self._onward = threading.Event(), threading.Event()
        self._launcher, self._at = launcher, at
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while not self._stopped.wait(0.005) and self._thread.is_alive():
            pass
        self.stands_still = self._stopped.is_set()
        if not self.stands_still:
            self.go_on()

    def go_on(self) -> None:
        self._onward.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with calling(self._launcher, self._at, self._stand_still):
                self._launcher.step()
        except Exception as error:
            self._error = error

    def _stand_still(self) -> None:
        self._stopped.set()
        self._onward.wait()


@pytest.mark.slow
def test_launches_keep_their_promises(home: Path) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Launches,
        settings=settings(
            max_examples=20,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,  # a night run takes others, and more of them
            phases=[Phase.explicit, Phase.generate],  # to shrink what failed takes minutes: do that by hand
            suppress_health_check=list(HealthCheck),
        ),
    )
