"""The driver's side of a sweep, in virtual time: each run once, failures apart, the budget a hard cap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recommender.errors import StorageError, UnavailableError
from recommender.records import Run
from recommender.store import RANKABLE, Store
from recommender.store.runs import Runs
from tests.store.builders import point
from tests.tune_jobs.sweep_kit import Clock, actor_event, finished, paper_trials, trial_driver
from tune_jobs.storage import UrlStorage
from tune_jobs.sweep.display import summary_of
from tune_jobs.sweep.policy import NOTHING_FITS, RunAll, SweepView, TrialView
from tune_jobs.sweep.remote_driver import status_of
from tune_jobs.sweep.resume_states import state_path
from tune_jobs.sweep.run import SweepSettings, run_trials
from tune_jobs.sweep.run_recorder import RunRecorder
from tune_jobs.sweep.trial_spec import TrialLimits
from tune_jobs.sweep.unfinished_runs import STOPPED_BY_POLICY, failed_run


def test_slots_are_filled_and_no_more(store: Store) -> None:
    specs = paper_trials(3)
    driver = trial_driver(specs, store)
    assert [driver.next_id(), driver.next_id(), driver.next_id()] == [specs[0].id, specs[1].id, None]
    driver.started(specs[0].id)
    driver.receive(specs[0].id, actor_event("a", "run", run=finished(specs[0], [0.1, 0.2, 0.3])))
    assert driver.next_id() == specs[2].id
    assert not driver.is_over()


def test_a_run_in_the_history_is_not_repeated(store: Store) -> None:
    specs = paper_trials(2)
    store.runs.add(finished(specs[0], [0.1, 0.2, 0.3]))
    driver = trial_driver(specs, store)
    assert driver.next_id() == specs[1].id
    assert driver.next_id() is None
    (known, _) = driver.view().trials
    assert known.reused
    assert known.best_score == 0.3
    assert known.seconds == 0.0


def test_a_run_that_another_sweep_finishes_meanwhile_is_passed_over(store: Store) -> None:
    specs = paper_trials(2)
    driver = trial_driver(specs, store, slots=1)
    store.runs.add(finished(specs[0], [0.1, 0.2, 0.3]))
    assert driver.next_id() == specs[1].id


def test_a_failed_run_is_of_its_job_s_task() -> None:
    (spec,) = paper_trials(1)
    assert failed_run(replace(spec.job, architecture="yolo11n-seg"), "out of memory").task == "segment"


@pytest.mark.parametrize("status", ["failed", "stopped"])
def test_what_failed_or_was_cut_off_is_tried_again(store: Store, status: str) -> None:
    (spec,) = paper_trials(1)
    run = (
        failed_run(spec.job, "out of memory")
        if status == "failed"
        else finished(spec, [0.1], status="stopped")
    )
    store.runs.add(run)
    assert trial_driver([spec], store).next_id() == spec.id


def test_what_the_policy_stopped_is_finished(store: Store) -> None:
    (spec,) = paper_trials(1)
    stopped = finished(spec, [0.1], status="stopped")
    store.runs.add(replace(stopped, notes=(STOPPED_BY_POLICY + "hopeless",)))
    assert trial_driver([spec], store).is_over()


def test_failures_stay_out_of_the_history(store: Store) -> None:
    """Rows R5, R8, R9: recorded with their reason, never ranked, and the others go on."""
    specs = paper_trials(3)
    driver = trial_driver(specs, store, slots=3)
    reasons = [
        "timed out: no work done for 120 s",
        "out of memory: it used 9 MB",
        "The loss box_loss is not finite",
    ]
    for spec, reason in zip(specs, reasons, strict=True):
        assert driver.next_id() == spec.id
        driver.started(spec.id)
        driver.receive(spec.id, actor_event(spec.id, "run", run=failed_run(spec.job, reason)))
    assert driver.is_over()
    assert store.runs.list(statuses=RANKABLE) == ()
    assert {run.error for run in store.runs.list()} == set(reasons)
    assert {trial.state for trial in driver.view().trials} == {"failed"}


def test_a_result_that_is_not_finite_fails(store: Store) -> None:
    """Row R9, should one ever get past the training: JSON of records refuses what is not finite."""
    (spec,) = paper_trials(1)
    run = finished(spec, [0.1, float("nan"), 0.3])
    with pytest.raises(StorageError):
        actor_event("a", "run", run=run)
    RunRecorder(store).accept(run)
    assert store.runs.list(statuses=RANKABLE) == ()


def test_each_epoch_counts_once_when_a_trial_is_resumed_a_step_back(store: Store) -> None:
    """Rows R3 and R7: (trial, step) is unique."""
    (spec,) = paper_trials(1, epochs=4)
    driver = trial_driver([spec], store)
    driver.next_id()
    driver.started(spec.id)
    for epoch in (1, 2, 3):
        driver.receive(spec.id, actor_event("first", "epoch", epoch=point(epoch, 0.1 * epoch)))
    assert driver.worker_lost(spec.id, "its node died")
    driver.started(spec.id)
    for epoch in (3, 4):
        driver.receive(spec.id, actor_event("second", "epoch", epoch=point(epoch, 0.1 * epoch)))
    (view,) = driver.view().trials
    assert [one.epoch for one in view.curve] == [1, 2, 3, 4]


def test_a_node_that_was_given_up_and_comes_back_is_not_heard(store: Store) -> None:
    """Row R4."""
    (spec,) = paper_trials(1)
    driver = trial_driver([spec], store)
    driver.next_id()
    driver.started(spec.id)
    driver.receive(spec.id, actor_event("first", "epoch", epoch=point(1)))
    driver.worker_lost(spec.id, "its node fell silent")
    driver.started(spec.id)
    driver.receive(spec.id, actor_event("first", "run", run=finished(spec, [0.9, 0.9, 0.9])))
    assert store.runs.get(spec.id) is None
    driver.receive(spec.id, actor_event("second", "run", run=finished(spec, [0.1, 0.2, 0.3])))
    run = store.runs.get(spec.id)
    assert run is not None
    assert run.best == point(3, 0.3)


def test_a_node_that_cannot_train_loses_its_slot_and_the_trial_runs_elsewhere(store: Store) -> None:
    """It would be the quickest of all, and take one trial after another."""
    specs = paper_trials(3)
    driver = trial_driver(specs, store)
    for spec in specs[:2]:
        assert driver.next_id() == spec.id
        driver.started(spec.id)
    driver.receive(specs[0].id, actor_event("full", "unfit", note="10.0.0.1: no space left"))
    assert driver.view().num_slots == 1
    assert "1 running on 1 slot · 1 left out (10.0.0.1: no space left)" in summary_of(driver.view())
    assert driver.next_id() is None  # the other slot is taken
    driver.receive(specs[1].id, actor_event("good", "run", run=finished(specs[1], [0.1, 0.2, 0.3])))
    assert driver.next_id() == specs[0].id
    driver.started(specs[0].id)
    driver.receive(specs[0].id, actor_event("full", "beat"))  # by then nobody's
    driver.receive(specs[0].id, actor_event("good2", "run", run=finished(specs[0], [0.1, 0.2, 0.3])))
    assert [trial.state for trial in driver.view().trials] == ["finished", "finished", "waiting"]
    assert driver.stop_reason() is None
    assert {run.status for run in store.runs.list()} == {"succeeded"}


def test_a_trial_that_two_nodes_cannot_train_fails_alone_and_their_slots_are_used_again(store: Store) -> None:
    """Its data may be too large for every disk."""
    specs = paper_trials(3)
    driver = trial_driver(specs, store, slots=4)
    for token, node in (("a", "one"), ("b", "one"), ("c", "two")):
        assert not driver.is_given_back(specs[0].id)
        assert driver.next_id() == specs[0].id
        driver.started(specs[0].id)
        driver.receive(specs[0].id, actor_event(token, "unfit", unfit_on=node, note=f"{node}: no space left"))
    assert driver.is_given_back(specs[0].id)
    assert status_of(driver).given_back == {specs[0].id}
    assert driver.view().num_slots == 4
    (failed,) = store.runs.list()
    assert failed.error == "no node that had it could train it: two: no space left"
    for spec in specs[1:]:
        assert driver.next_id() == spec.id
        driver.started(spec.id)
        driver.receive(spec.id, actor_event(spec.id, "run", run=finished(spec, [0.1, 0.2, 0.3])))
    assert [trial.state for trial in driver.view().trials] == ["failed", "finished", "finished"]
    assert driver.error is None


def test_a_data_set_that_takes_out_every_slot_fails_before_the_others_do(store: Store) -> None:
    large, small = paper_trials(3, target="large"), paper_trials(2, target="small")
    driver = trial_driver([*large, *small], store, slots=2)
    for turn in (large[:2], large[2:]):
        for spec in turn:
            assert driver.next_id() == spec.id
            driver.started(spec.id)
        for spec in turn:
            event = actor_event(spec.id, "unfit", unfit_on=spec.id, note="no space left")
            driver.receive(spec.id, event)
    assert [trial.state for trial in driver.view().trials] == ["failed"] * 2 + ["waiting"] * 3
    assert driver.view().num_slots == 1
    assert driver.error is None
    assert driver.next_id() == large[2].id


def test_nodes_of_another_version_are_no_trial_s_fault(store: Store) -> None:
    specs = paper_trials(1)
    driver = trial_driver(specs, store, slots=3)
    for token in ("a", "b"):
        assert driver.next_id() == specs[0].id
        driver.started(specs[0].id)
        driver.receive(specs[0].id, actor_event(token, "unfit", note="this node has ultralytics 8.0.0"))
    assert driver.view().num_slots == 1
    assert driver.next_id() == specs[0].id


def test_of_one_trial_at_a_time_each_good_node_may_be_the_one(store: Store) -> None:
    specs = paper_trials(3)
    driver = trial_driver(specs, store, slots=3, max_parallel=1)
    for number, left in enumerate((1, 1, 0)):
        assert driver.next_id() == specs[0].id
        assert driver.next_id() is None
        driver.started(specs[0].id)
        driver.receive(specs[0].id, actor_event(str(number), "unfit", note="no space left"))
        assert driver.view().num_slots == left
    assert isinstance(driver.error, UnavailableError)


def test_without_a_node_that_can_train_the_sweep_ends_and_no_trial_is_blamed(store: Store) -> None:
    specs = paper_trials(3)
    driver = trial_driver(specs, store)
    for number in range(2):
        id = driver.next_id() or ""
        driver.started(id)
        driver.receive(id, actor_event(str(number), "unfit", note="10.0.0.1: no space left"))
    assert driver.is_over()
    with pytest.raises(UnavailableError, match=r"No node is left that can train: 10\.0\.0\.1: no space left"):
        raise driver.error or AssertionError
    assert store.runs.list(statuses=("failed",)) == ()


def test_a_driver_that_was_replaced_writes_nothing(store: Store) -> None:
    """Row R4 for drivers: a frozen one returns after the same command was given again."""
    (spec,) = paper_trials(1)
    old, new = trial_driver([spec], store), trial_driver([spec], store)
    for driver in (old, new):
        driver.next_id()
        driver.started(spec.id)
    old.receive(spec.id, actor_event("old", "run", run=finished(spec, [0.9, 0.9, 0.9])))
    assert store.runs.get(spec.id) is None
    new.receive(spec.id, actor_event("new", "run", run=finished(spec, [0.1, 0.2, 0.3])))
    run = store.runs.get(spec.id)
    assert run is not None
    assert run.best == point(3, 0.3)


def test_a_trial_that_loses_node_after_node_is_given_up(store: Store) -> None:
    (spec,) = paper_trials(1)
    driver = trial_driver([spec], store, limits=TrialLimits(max_restarts=2))
    driver.next_id()
    verdicts = []
    for _ in range(3):
        driver.started(spec.id)
        verdicts.append(driver.worker_lost(spec.id, "its node died"))
    assert verdicts == [True, True, False]
    run = store.runs.get(spec.id)
    assert run is not None
    assert run.status == "failed"
    assert run.error == "given up after 3 attempts: its node died"
    assert not driver.accepts(spec.id)


def test_a_fit_that_broke_is_begun_again_and_the_largest_trial_blamed(store: Store) -> None:
    """Row R5: Ray kills for memory, and Tune gives up the whole fit."""
    specs = paper_trials(3)
    driver = trial_driver(specs, store, slots=3, limits=TrialLimits(max_restarts=1))
    for number in range(2):
        for spec, memory_mb in zip(specs, (700.0, 9000.0, 800.0), strict=True):
            if driver.view().trials[specs.index(spec)].state == "waiting":
                driver.started(driver.next_id() or "")
                driver.receive(spec.id, {**actor_event(f"{spec.id}{number}", "beat"), "memory_mb": memory_mb})
        driver.requeue_running("out of memory perhaps")
    assert [trial.state for trial in driver.view().trials] == ["waiting", "failed", "waiting"]
    assert driver.num_ended == 1
    assert not driver.is_over()
    assert driver.next_id() == specs[0].id


def test_silent_actors_are_named(store: Store) -> None:
    clock = Clock()
    specs = paper_trials(2)
    driver = trial_driver(specs, store, clock=clock, limits=TrialLimits(silent_actor_s=90))
    for spec in specs:
        driver.next_id()
        driver.started(spec.id)
    clock.now += 60
    driver.receive(specs[0].id, actor_event("a", "beat"))
    clock.now += 60
    assert driver.silent_trials() == [specs[1].id]


@pytest.mark.parametrize("limit", [10, 20, 25, 90])
def test_a_short_limit_of_silence_is_kept_too(limit: float, store: Store) -> None:
    clock, (spec,) = Clock(), paper_trials(1)
    driver = trial_driver([spec], store, clock=clock, limits=TrialLimits(silent_actor_s=limit))
    driver.next_id()
    driver.started(spec.id)
    began = clock.now
    while not driver.silent_trials():
        clock.now += 1
        assert clock.now - began <= limit + 1
    assert clock.now - began == limit + 1


def test_a_driver_that_was_stopped_takes_no_trial_for_silent_before_it_has_read_what_they_said(
    store: Store,
) -> None:
    clock, (spec,) = Clock(), paper_trials(1)
    driver = trial_driver([spec], store, clock=clock, limits=TrialLimits(silent_actor_s=90))
    driver.next_id()
    driver.started(spec.id)
    clock.now += 3600  # Ctrl-Z, then fg
    assert not driver.silent_trials()
    for _ in range(10):
        clock.now += 10
        silent = driver.silent_trials()
    assert silent == [spec.id]


# ── the budget ──


def test_device_time_of_earlier_attempts_counts(store: Store) -> None:
    driver = trial_driver(paper_trials(1), store, budget="1gpu-h", device_s_before=3600.0)
    assert driver.view().spent_s == driver.view().device_seconds == 3600.0
    assert driver.stop_reason() == "the budget is spent"


def test_the_budget_ends_all_and_says_so(store: Store) -> None:
    clock = Clock()
    specs = paper_trials(3)
    driver = trial_driver(specs, store, clock=clock, budget="100s")
    for _ in range(2):
        driver.started(driver.next_id() or "")
    clock.now += 97
    assert driver.stop_reason() == "the budget is spent"
    assert driver.next_id() is None
    driver.close()
    view = driver.view()
    assert [trial.state for trial in view.trials] == ["cut off", "cut off", "waiting"]
    assert store.runs.list() == ()


def test_device_time_is_summed_over_trials_and_restarts(store: Store) -> None:
    clock = Clock()
    specs = paper_trials(2)
    driver = trial_driver(specs, store, clock=clock, budget="1gpu-h")
    for _ in range(2):
        driver.started(driver.next_id() or "")
    clock.now += 100
    driver.worker_lost(specs[0].id, "its node died")
    clock.now += 50  # nobody trains the first one
    driver.started(specs[0].id)
    clock.now += 10
    view = driver.view()
    assert view.spent_s == view.device_seconds == pytest.approx(100 + 10 + 160)


def test_a_trial_that_cannot_end_in_time_is_not_begun(store: Store) -> None:
    clock = Clock()
    specs = paper_trials(3)
    driver = trial_driver(specs, store, clock=clock, budget="250s", slots=1)
    driver.started(driver.next_id() or "")
    clock.now += 120
    for epoch in (1, 2, 3):
        driver.receive(specs[0].id, actor_event("a", "epoch", epoch=point(epoch)))
    driver.receive(specs[0].id, actor_event("a", "run", run=finished(specs[0], [0.1, 0.2, 0.3])))
    assert driver.next_id() == specs[1].id  # 120 s of 130 s
    driver.started(specs[1].id)
    clock.now += 60
    driver.receive(specs[1].id, actor_event("b", "run", run=failed_run(specs[1].job, "no")))
    assert driver.next_id() is None
    assert driver.view().trials[2].note == "too long for what is left of the budget"
    assert driver.stop_reason() == NOTHING_FITS  # and not "no further trial is wanted"


# ── the policy ──


class Picky(RunAll):
    """Stops the first trial after an epoch and wants no more than two."""

    def __init__(self, first: str) -> None:
        self.first = first

    def next(self, view: SweepView) -> str | None:
        return super().next(view) if len(view.of_state("waiting")) > 1 else None

    def judge(self, view: SweepView, trial: TrialView) -> str | None:
        return "hopeless" if trial.id == self.first else None


def test_the_policy_decides_who_runs_and_for_how_long(store: Store) -> None:
    specs = paper_trials(3)
    driver = trial_driver(specs, store, policy=Picky(specs[0].id))
    for _ in range(2):
        driver.started(driver.next_id() or "")
    assert driver.receive(specs[0].id, actor_event("a", "epoch", epoch=point(1))) == "hopeless"
    assert driver.receive(specs[1].id, actor_event("b", "epoch", epoch=point(1))) is None
    stopped = replace(finished(specs[0], [0.5], status="stopped"), notes=(STOPPED_BY_POLICY + "hopeless",))
    driver.receive(specs[0].id, actor_event("a", "run", run=stopped))
    assert driver.next_id() is None
    assert not driver.is_over()  # one still runs
    driver.receive(specs[1].id, actor_event("b", "run", run=finished(specs[1], [0.1, 0.2, 0.3])))
    assert driver.next_id() is None
    assert driver.stop_reason() == "no further trial is wanted"


def test_a_stop_that_comes_while_the_policy_is_asked_is_not_lost(store: Store) -> None:
    """A signal handler runs between any two steps of the main thread."""

    class Interrupted(RunAll):
        def done(self, view: SweepView) -> str | None:
            driver.stop("interrupted")
            return None

    driver = trial_driver(paper_trials(2), store, policy=Interrupted())
    assert driver.stop_reason() == "interrupted"
    assert driver.next_id() is None
    assert driver.is_over()


def test_a_policy_that_breaks_ends_the_sweep_and_keeps_what_is_finished(store: Store) -> None:
    class Broken(RunAll):
        def judge(self, view: SweepView, trial: TrialView) -> str | None:
            raise ZeroDivisionError

    specs = paper_trials(2)
    driver = trial_driver(specs, store, policy=Broken())
    for _ in range(2):
        driver.started(driver.next_id() or "")
    driver.receive(specs[0].id, actor_event("a", "run", run=finished(specs[0], [0.1, 0.2, 0.3])))
    assert driver.receive(specs[1].id, actor_event("b", "epoch", epoch=point(1))) is None
    assert isinstance(driver.error, ZeroDivisionError)
    assert driver.is_over()
    assert store.runs.get(specs[0].id) is not None


# ── store and storage ──


def test_finished_runs_in_the_storage_are_found_again_without_the_store(store: Store, tmp_path: Path) -> None:
    specs = paper_trials(2)
    storage = UrlStorage(str(tmp_path / "storage"))
    recorder = RunRecorder(store, storage)
    done, failed = finished(specs[0], [0.1, 0.2, 0.3]), failed_run(specs[1].job, "no")
    for run in (done, failed):
        recorder.begin(run.id)
        recorder.accept(run)
    with Store(tmp_path / "another.sqlite3") as another:
        assert RunRecorder(another, storage).finished_run(done.id) == done
        assert another.runs.get(done.id) == done
        assert RunRecorder(another, storage).finished_run(failed.id) is None


def test_a_storage_that_takes_nothing_ends_the_sweep_before_it_begins(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = SweepSettings(storage=str(tmp_path / "file"), address="127.0.0.1:1")
    with pytest.raises(StorageError, match="reachable and writable"):  # no head is looked for
        run_trials(paper_trials(1), store=store, settings=settings)


def test_a_damaged_file_in_the_storage_is_no_run(store: Store, tmp_path: Path) -> None:
    (spec,) = paper_trials(1)
    folder = tmp_path / "storage" / "runs"
    folder.mkdir(parents=True)
    (folder / f"{spec.id}.json").write_text('{"id": "half')
    assert RunRecorder(store, UrlStorage(str(tmp_path / "storage"))).finished_run(spec.id) is None


def test_a_store_that_refuses_loses_nothing_that_the_storage_takes(store: Store, tmp_path: Path) -> None:
    """Row R10: the run is in the storage, the sweep ends with a clear error."""
    (spec,) = paper_trials(1)
    storage = UrlStorage(str(tmp_path / "storage"))

    class Full(Runs):
        def add(self, run: Run, *, attempt: int | None = None) -> bool:
            raise StorageError("The store is full.", remedy="Free some disk space.")

    run = finished(spec, [0.1, 0.2, 0.3])
    with Store(tmp_path / "full.sqlite3") as full:
        full.runs = Full(full)
        with pytest.raises(StorageError, match="Free some"):
            RunRecorder(full, storage).accept(run)
    assert RunRecorder(store, storage).finished_run(spec.id) == run


def test_the_state_of_a_finished_trial_is_not_kept(store: Store, home: Path) -> None:
    (spec,) = paper_trials(1)
    state_path(spec.id).parent.mkdir()
    state_path(spec.id).write_bytes(b"state")
    driver = trial_driver([spec], store)
    driver.next_id()
    driver.started(spec.id)
    assert state_path(spec.id).exists()
    driver.receive(spec.id, actor_event("a", "run", run=finished(spec, [0.1, 0.2, 0.3])))
    assert not state_path(spec.id).exists()


@pytest.mark.parametrize("id", ["../store", "", "a" * 100, "XYZ"])
def test_a_state_has_no_name_but_a_run_id(home: Path, id: str) -> None:
    with pytest.raises(StorageError, match="no run id"):
        state_path(id)
