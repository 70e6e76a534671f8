"""Trials in real training processes that hang, crash, eat memory and diverge. No Ray in here."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from recommender.errors import StorageError
from recommender.home import home
from recommender.records import Run
from recommender.store import Store
from tests.store.builders import run as make_run
from tests.tune_jobs.sweep_kit import coco_artefact, exploding_weights, packed, trial
from tests.tune_jobs.training_kit import untimed
from tune_jobs.artefact_transfer import Artefact, deliver
from tune_jobs.storage import UrlStorage
from tune_jobs.sweep.artefact_store import files_at
from tune_jobs.sweep.resume_states import drop_state
from tune_jobs.sweep.trial_runner import NOT_INSTALLED, TrialEvent, TrialRunner, WorkerConfig
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec
from tune_jobs.training import TrainingJob
from tune_jobs.training.process import TrainingProcess

pytestmark = pytest.mark.slow
PATIENCE_S = 120.0  # of the test, on a slow machine


class Restarted(UrlStorage):
    """The files of the driver's node, whose actor is just being restarted."""

    asked = 0

    def get(self, name: str, target: Path) -> bool:
        self.asked += 1
        if self.asked == 1:
            raise StorageError("The actor is restarting.")
        return super().get(name, target)


class Table:
    """A worker and the process that stays warm on it."""

    def __init__(self, folder: Path) -> None:
        self.worker = WorkerConfig(
            folder=folder,
            device="cpu",
            num_threads=1,
            limits=TrialLimits(),
            deliver=deliver,
            storage=files_at(None),
        )
        self.process: TrainingProcess | None = None

    def attempt(self, spec: TrialSpec, **limits: float) -> TrialRunner:
        worker = replace(self.worker, limits=TrialLimits(**limits)) if limits else self.worker  # type: ignore[arg-type]
        begun = TrialRunner(spec, worker, self.process)
        self.process = begun.process
        return begun

    def words(self, attempt: TrialRunner) -> Iterator[TrialEvent]:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            word = attempt.step(0.5)
            self.process = attempt.process
            yield word
            if word.kind == "run":
                return
        raise AssertionError("the attempt came to no end")

    def run(self, attempt: TrialRunner) -> Run:
        *_, last = self.words(attempt)
        assert last.run is not None
        drop_state(last.run.id)  # as the driver does
        return last.run


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    found = Table(tmp_path_factory.mktemp("worker"))
    yield found
    if found.process is not None:
        found.process.kill()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return packed(tmp_path_factory.mktemp("data") / "drawn")


def test_trials_share_a_process_and_the_same_seed_gives_the_same_run(table: Table, data: Artefact) -> None:
    """Row S1. The second one pays no process start, and the first leaves no trace in its result."""
    spec = trial(data, mode="full")
    first = table.run(table.attempt(spec))
    pid = table.process.pid if table.process else None
    table.run(table.attempt(trial(data, seed=1)))
    again = table.run(table.attempt(spec))
    assert table.process is not None
    assert table.process.pid == pid
    assert first.status == again.status == "succeeded"
    assert first.id == spec.id
    assert untimed(first.curve) == untimed(again.curve)
    assert [point.epoch for point in first.curve] == [1, 2]
    assert not list(table.worker.folder.glob("work-*"))


def test_the_record_alone_suffices_to_run_it_again(table: Table, data: Artefact, tmp_path: Path) -> None:
    """Row S2: data by content hash, weights by sha256, start, architecture and recipe are all in the record."""
    with Store(tmp_path / "store.sqlite3") as store:
        first = table.run(table.attempt(trial(data, mode="full", epochs=3, seed=9)))
        store.runs.add(first)
        record = store.runs.get(first.id)
    assert record is not None
    artefacts = {
        artefact.key: artefact for artefact in (data, coco_artefact())
    }  # found by hash, wherever they lie
    rebuilt = TrainingJob(
        data=Path(),
        output=Path(),
        start=record.start,
        architecture=record.architecture,
        recipe=record.recipe,
        kind=record.kind,
        target_hash=record.target_hash,
        target_name=record.target_name,
        weights=Path("anywhere"),
        weights_sha256=record.weights_sha256,
        source_hash=record.source_hash,
    )
    assert rebuilt.run_id == record.id
    spec = TrialSpec(
        job=rebuilt, data=artefacts[record.target_hash], weights=artefacts[record.weights_sha256 or ""]
    )
    again = table.run(table.attempt(spec))
    assert untimed(again.curve) == untimed(record.curve)
    versions = record.environment.versions
    assert {"python", "torch", "ultralytics", "checkpoint-recommender"} <= versions.keys()
    assert record.environment.hardware != "unknown"


def test_a_trial_is_stopped_between_two_epochs_with_its_reason(table: Table, data: Artefact) -> None:
    attempt = table.attempt(trial(data, epochs=5, seed=2))
    kinds = []
    for word in table.words(attempt):
        kinds.append(word.kind)
        if word.kind == "epoch":
            attempt.stop("no better than the others")
    assert kinds.count("epoch") == 1
    assert word.run is not None
    assert word.run.status == "stopped"
    assert word.run.notes[-1] == "stopped by the policy: no better than the others"


def test_a_training_that_diverges_fails(table: Table, data: Artefact, tmp_path: Path) -> None:
    """Row R9: weights so large that the loss cannot be computed."""
    run = table.run(table.attempt(trial(data, mode="full", weights=exploding_weights(tmp_path))))
    assert run.status == "failed"
    assert "not finite" in (run.error or "")


def test_weights_that_changed_are_refused(
    table: Table, data: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row P9, on the node that trains."""
    artefact = coco_artefact()
    swapped = tmp_path / "swapped.safetensors"
    swapped.write_bytes(artefact.source.read_bytes()[:-1] + b"x")
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "node"))
    spec = trial(data, mode="full", seed=3)
    run = table.run(table.attempt(replace(spec, weights=replace(artefact, source=swapped))))
    assert run.status == "failed"
    assert "sha256" in (run.error or "")


def test_a_killed_process_goes_on_where_it_was(table: Table, data: Artefact) -> None:
    """Row R3 on one node: at most one step back."""
    attempt = table.attempt(trial(data, epochs=4, seed=4))
    kinds = []
    for word in table.words(attempt):
        kinds.append(word.kind)
        if kinds.count("epoch") == 1 and word.kind == "epoch":
            os.kill(attempt.process.pid, signal.SIGKILL)
    assert kinds.count("again") == 1
    assert word.run is not None
    assert word.run.status == "succeeded"
    assert any(note.startswith("resumed after epoch") for note in word.run.notes)
    assert [point.epoch for point in word.run.curve] == [1, 2, 3, 4]


def test_another_node_goes_on_where_one_was(table: Table, data: Artefact, tmp_path: Path) -> None:
    """Row R3 across nodes: the state was carried away, so the disk of the dead node is not needed."""
    spec = trial(data, epochs=4, seed=5)
    attempt = table.attempt(spec)
    for word in table.words(attempt):
        if word.kind == "epoch":
            break
    attempt.abandon()
    assert not table.process or not table.process.is_alive
    elsewhere = Table(tmp_path / "elsewhere")
    elsewhere.worker = replace(elsewhere.worker, storage=Restarted(str(home())))
    run = elsewhere.run(elsewhere.attempt(spec))
    table.process = elsewhere.process
    assert run.status == "succeeded"
    assert any(note.startswith("resumed after epoch") for note in run.notes)
    assert [point.epoch for point in run.curve] == [1, 2, 3, 4]


def test_a_frozen_process_is_timed_out(table: Table, data: Artefact) -> None:
    """Row R8: marked, killed, and the actor lives on."""
    attempt = table.attempt(trial(data, epochs=50, seed=6), idle_s=2.0)
    for word in table.words(attempt):
        if word.kind == "epoch" and word.point is not None and word.point.epoch == 1:
            os.kill(attempt.process.pid, signal.SIGSTOP)
    assert word.run is not None
    assert word.run.status == "failed"
    assert (word.run.error or "").startswith("timed out: no work done for")
    assert not attempt.process.is_alive


def test_a_training_that_eats_the_memory_fails_alone(table: Table, data: Artefact) -> None:
    """Row R5: the process goes, the actor stays and takes the next trial."""
    run = table.run(table.attempt(trial(data, epochs=50, seed=7), memory_mb=100.0))
    assert run.status == "failed"
    assert "100 MB are allowed a trial" in (run.error or "")


def test_a_process_that_keeps_crashing_is_given_up_with_its_last_words(table: Table, data: Artefact) -> None:
    attempt = table.attempt(trial(data, epochs=50, seed=8))
    for word in table.words(attempt):
        if word.kind == "epoch":
            os.kill(attempt.process.pid, signal.SIGKILL)
    assert word.run is not None
    assert word.run.status == "failed"
    assert "died with signal 9" in (word.run.error or "")


_PARENT = """
    import os, signal, sys
    from pathlib import Path
    from tune_jobs.training.process import TrainingProcess
    print(TrainingProcess(Path(sys.argv[1])).pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_training_does_not_outlive_its_actor(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PARENT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    until = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "the training process lives on"
        time.sleep(0.2)


def test_a_process_whose_gpu_failed_is_not_kept_for_the_next_trial(table: Table) -> None:
    """Every later call fails once an error has broken a GPU's context, within seconds: it would eat the sweep."""
    attempt = object.__new__(TrialRunner)
    failed, well = replace(make_run(), status="failed"), replace(make_run(), status="succeeded")
    for device, run, alive in (("cuda:0", failed, False), ("cuda:0", well, True), ("cpu", failed, True)):
        attempt.worker = replace(table.worker, device=device)
        attempt.process = TrainingProcess(table.worker.folder)
        attempt._drop_broken_process(run)
        assert attempt.process.is_alive == alive
        attempt.process.kill()


def test_a_node_that_lacks_a_package_is_told_in_one_line_and_fails_no_trial(
    tmp_path: Path, data: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchvision.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    table = Table(tmp_path / "worker")
    attempt = table.attempt(trial(data))
    word = next(word for word in table.words(attempt) if word.kind != "beat")
    attempt.process.kill()
    assert word.kind == "unfit", word
    assert word.note is not None
    assert "ImportError: libGL.so.1: cannot open shared object file: install what is missing" in word.note
    assert "\n" not in word.note


def test_a_library_that_memory_has_no_place_for_is_installed_all_the_same() -> None:
    said = "ImportError: libtorch_cpu.so: failed to map segment from shared object"
    assert NOT_INSTALLED.search(said) is None


def test_a_disk_that_fills_while_the_best_weights_are_written_is_the_nodes_fault(
    tmp_path: Path, data: Artefact
) -> None:
    spec = trial(data)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))  # inherited by the training process
    try:
        table = Table(tmp_path / "a wörker")
        attempt = table.attempt(replace(spec, job=replace(spec.job, keep=True)))
        last = next(word for word in table.words(attempt) if word.kind not in ("beat", "epoch"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    attempt.process.kill()
    assert last.kind == "unfit", last
    assert last.note is not None
    assert last.note.startswith("The trained weights cannot be written below ")
    assert last.note.endswith("Free some space on that disk; the training goes on from its last state.")
    assert "Traceback" not in last.note
