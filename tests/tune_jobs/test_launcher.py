"""A training from its request to its end, by launchers, processes and files as they are; only the training is short."""

from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.checkpoints.scratch import checkpoints_at_hand, scratch_architecture
from recommender.datasets import open_dataset
from recommender.errors import ConflictError, NotFoundError, UnavailableError, UsageError
from recommender.records import Checkpoint, Job
from recommender.report.runs import training_document
from recommender.requests import SweepRequest
from recommender.store import Store
from recommender.store.records_json import decode
from tests.store.builders import checkpoint as registered
from tests.tune_jobs.launch_kit import Workshop, finished, until
from tune_jobs.artefact_transfer import pack_dataset
from tune_jobs.launcher import Capacity, tell_once
from tune_jobs.ray_jobs import Submission
from tune_jobs.storage import attempt
from tune_jobs.sweep.planning import plan_sweep
from tune_jobs.training_spec import TrainingSpec


def statuses(workshop: Workshop, job: Job) -> list[str]:
    """The states that the job went through."""
    return [json.loads(e.data)["status"] for e in workshop.store.jobs.events(job.id) if e.kind == "status"]


def epochs(workshop: Workshop, job: Job) -> list[int]:
    """Epochs of the curve as followers saw them."""
    return [json.loads(e.data)["epoch"] for e in workshop.store.jobs.events(job.id) if e.kind == "epoch"]


def left_in_storage(workshop: Workshop, job: Job) -> set[str]:
    """The parts of a job in the storage that nobody needs once it has ended."""
    found = {path.name for path in (workshop.folder / "storage" / job.id).rglob("*")}
    return found & {"inputs", "resume", "reports"}


def make_checkpoint(workshop: Workshop, content: bytes = b"weights") -> Checkpoint:
    """A registered checkpoint whose file can be swapped."""
    import hashlib

    path = workshop.folder / "mine.safetensors"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    checkpoint = registered("mine", licence="MIT", class_names=("a",), sha256=sha256, path=path)
    workshop.store.checkpoints.put(checkpoint)
    return checkpoint


@pytest.mark.slow
def test_a_training_ends_in_the_registry_and_the_history(workshop: Workshop) -> None:
    make_checkpoint(workshop)
    job = workshop.ask("key", start="mine:full", epochs=3, name="better")
    ended = finished(workshop, job)
    assert (ended.status, ended.checkpoint, ended.error) == ("succeeded", "better", None)
    assert epochs(workshop, job) == [1, 2, 3]
    (run,) = workshop.store.runs.list()
    assert (run.id, run.kind, str(run.start)) == (ended.run_id, "full", "mine:full")
    assert run.estimate is not None  # made when it was asked for, kept beside what it took
    assert run.estimate == training_document(job).estimate
    assert run.estimate.memory_mb is not None
    registered = workshop.store.checkpoints.get("better")
    assert registered is not None
    assert registered.path is not None
    assert registered.path.is_file()
    assert registered.source_hash == workshop.target.hash
    assert registered.licence == "MIT"
    assert not registered.from_scratch
    assert registered.source_score == run.best.score  # type: ignore[union-attr]
    from recommender.profile.known import source_profile

    assert source_profile(registered.source_hash, workshop.store) is not None
    assert ended.artefacts is not None
    assert (Path(ended.artefacts) / "weights" / "best.safetensors").is_file()
    assert not left_in_storage(workshop, job)
    assert workshop.ask("key", start="mine:full", epochs=3, name="better") == ended  # asked again: the same
    assert workshop.cluster.ids() == [job.submission_id]


@pytest.mark.slow
def test_a_killed_attempt_is_repeated_from_its_last_state(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVIAL_SECONDS", "0.3")
    launcher = workshop.launcher()
    job = workshop.ask("key", epochs=8)
    until(launcher, lambda: len(epochs(workshop, job)) >= 2)
    workshop.cluster.kill(job.submission_id)
    ended = finished(workshop, job, launcher)
    assert (ended.status, ended.attempt, ended.crashes) == ("succeeded", 2, 0)
    assert epochs(workshop, job) == list(range(1, 9))
    notes = (Path(str(ended.artefacts)) / "went_on_after.txt").read_text()
    assert int(notes) >= 1  # where carrying takes long, as on a busy machine, not every state is carried
    assert len(workshop.store.runs.list()) == 1


@pytest.mark.slow
def test_a_fault_of_the_node_is_no_end_and_its_state_is_gone_on_from(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's error comes as a failed run; what the training itself broke leaves no state."""
    monkeypatch.setenv("TRIVIAL_FAULT_AFTER", "2")
    job = workshop.ask("key", epochs=3)
    ended = finished(workshop, job, workshop.launcher())
    assert (ended.status, ended.attempt) == ("succeeded", 2)
    assert (Path(str(ended.artefacts)) / "went_on_after.txt").read_text() == "2"


@pytest.mark.slow
def test_a_node_that_breaks_every_attempt_at_one_epoch_leaves_the_run_as_far_as_it_came(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVIAL_FAULT_BEFORE", "3")
    job = workshop.ask("key", epochs=5)
    ended = finished(workshop, job, workshop.launcher(max_crashes=2))
    assert ended.status == "failed"
    assert str(ended.error).endswith("the last time: RuntimeError: CUDA error")
    (run,) = workshop.store.runs.list()
    assert (run.status, len(run.curve)) == ("failed", 2)


@pytest.mark.slow
def test_a_training_that_crashes_every_time_fails_with_its_last_words(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVIAL_ERROR", "CUDA went away")
    job = workshop.ask("key")
    ended = finished(workshop, job, workshop.launcher(max_crashes=2))
    assert (ended.status, ended.attempt) == ("failed", 2)
    assert "crashed 2 times without a further epoch" in str(ended.error)
    assert "CUDA went away" in str(ended.error)
    assert statuses(workshop, job).count("queued") == 2
    assert workshop.store.runs.list() == ()


def test_a_node_that_lacks_the_package_is_told_from_a_silent_one(workshop: Workshop) -> None:
    job = workshop.ask("key")
    ended = finished(workshop, job, workshop.launcher(max_crashes=2, module="no_such_package"))
    assert str(ended.error).endswith("No module named no_such_package")


def test_waiting_for_a_node_is_said_once(workshop: Workshop) -> None:
    workshop.cluster.is_full = True
    job = workshop.ask("key", cpus=2, gpus=None)
    patient, launcher = workshop.launcher(), workshop.launcher(waiting_s=0)

    def notes() -> list[str]:
        return [
            json.loads(event.data)["message"]
            for event in workshop.store.jobs.events(job.id)
            if event.kind == "note"
        ]

    until(patient, lambda: workshop.store.jobs.require(job.id).submitted)
    patient.step()
    assert notes() == []
    until(launcher, notes)  # once the other's lease has run out
    launcher.step()
    assert notes() == [
        "no node of the cluster has 2 CPUs (and 1 GPU, if the cluster has any) free yet, so it waits"
    ]


@pytest.mark.slow
def test_a_request_that_cannot_be_met_is_not_repeated(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVIAL_USAGE_ERROR", "batch of nothing")
    ended = finished(workshop, workshop.ask("key"))
    assert (ended.status, ended.attempt, ended.error) == ("failed", 1, "batch of nothing")


@pytest.mark.slow
def test_a_job_the_cluster_forgot_is_launched_once_more(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVIAL_SECONDS", "0.3")
    launcher = workshop.launcher()
    job = workshop.ask("key", epochs=5)
    until(launcher, lambda: epochs(workshop, job))
    workshop.cluster.forget(job.submission_id)
    ended = finished(workshop, job, launcher)
    assert (ended.status, ended.attempt) == ("succeeded", 2)


@pytest.mark.slow
def test_waiting_too_long_for_a_node_is_no_crash(workshop: Workshop) -> None:
    launcher = workshop.launcher(max_crashes=1)
    workshop.cluster.refuse_to_start = 2
    ended = finished(workshop, workshop.ask("key"), launcher)
    assert (ended.status, ended.attempt, ended.crashes) == ("succeeded", 3, 0)


def test_cancel_ends_the_process(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVIAL_SECONDS", "30")
    launcher = workshop.launcher()
    job = workshop.ask("key", epochs=100)
    until(launcher, lambda: workshop.store.jobs.require(job.id).status == "running")
    workshop.store.jobs.request_cancel(job.id)
    ended = finished(workshop, job, launcher)
    assert (ended.status, ended.checkpoint) == ("cancelled", None)
    assert workshop.cluster.state(job.submission_id) == "stopped"
    assert workshop.store.runs.list() == ()


@pytest.mark.slow
def test_a_job_ended_on_the_cluster_is_told_from_a_crash(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVIAL_SECONDS", "30")
    launcher = workshop.launcher()
    job = workshop.ask("key")
    until(launcher, lambda: workshop.store.jobs.require(job.id).status == "running")
    workshop.cluster.stop(job.submission_id)
    ended = finished(workshop, job, launcher)
    assert (ended.status, ended.attempt) == ("cancelled", 1)
    assert "not by us" in str(ended.error)
    assert not left_in_storage(workshop, job)


def test_a_cancel_between_attempts_gives_the_space_back(workshop: Workshop) -> None:
    launcher = workshop.launcher()
    workshop.cluster.refuse_to_start = 1
    job = workshop.ask("key")
    until(launcher, lambda: workshop.store.jobs.require(job.id).attempt == 2)
    assert left_in_storage(workshop, job) == {"inputs"}
    workshop.store.jobs.request_cancel(job.id)
    assert finished(workshop, job, launcher).status == "cancelled"
    assert not left_in_storage(workshop, job)


def test_weights_swapped_before_the_launch_are_refused(workshop: Workshop) -> None:
    checkpoint = make_checkpoint(workshop)
    job = workshop.ask("key", start="mine:full")
    assert checkpoint.path is not None
    checkpoint.path.write_bytes(b"others")
    ended = finished(workshop, job)
    assert ended.status == "failed"
    assert "sha256" in str(ended.error)
    assert workshop.cluster.ids() == []


def test_data_edited_before_the_launch_are_refused(workshop: Workshop) -> None:
    job = workshop.ask("key")
    label = next((workshop.folder / "user").rglob("labels/train/*.txt"))
    label.write_text("0 0.5 0.5 0.25 0.25\n")
    ended = finished(workshop, job)
    assert ended.status == "failed"
    assert "changed since it was given for this training" in str(ended.error)
    assert workshop.cluster.ids() == []


@pytest.mark.slow
def test_results_damaged_on_the_way_are_not_registered(workshop: Workshop) -> None:
    launcher = workshop.launcher()
    job = workshop.ask("key")
    launcher.step()
    while workshop.cluster.state(job.submission_id) != "succeeded":
        time.sleep(0.05)
    name = attempt(job.id, 1, "results/weights/best.safetensors")
    (workshop.folder / "storage" / name).write_bytes(b"not what was sent")
    ended = finished(workshop, job, launcher)
    assert ended.status == "failed"
    assert "damaged" in str(ended.error)
    assert workshop.store.checkpoints.list() == ()


@pytest.mark.slow
def test_trouble_that_comes_again_is_logged_again(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    away, faster = UnavailableError("The server is away."), ConflictError("Another launcher was faster.")
    answers = iter((away, away, faster, away, away))

    def guard(job: Job) -> None:
        raise next(answers)

    launcher = workshop.launcher(guard=guard)
    workshop.ask("key")
    logged = []
    for _ in range(5):
        launcher.step()
        logged.append(len(caplog.records))
    assert logged == [1, 1, 1, 2, 2]


def test_trouble_that_comes_again_is_told_again(store: Store) -> None:
    job, _ = store.jobs.create(
        kind="training", owner="", key="k", body_digests=("b",), cluster="c", spec="{}"
    )
    for _ in range(2):
        tell_once(store, job, "The server is away.")
    store.launches.mark_running(job.id, job.attempt)
    for _ in range(2):
        tell_once(store, job, "The server is away.")
    assert [event.kind for event in store.jobs.events(job.id)] == ["status", "note", "status", "note"]


@pytest.mark.slow
def test_a_storage_that_is_away_is_waited_for(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    launcher = workshop.launcher()
    job = workshop.ask("key")
    storage = workshop.folder / "storage"
    storage.write_text("not a folder")
    for _ in range(3):
        launcher.step()
        assert launcher.trouble is not None
    assert len(caplog.records) == 1  # two steps a second for a whole night would fill the disk
    assert not workshop.store.jobs.require(job.id).ended
    storage.unlink()
    assert finished(workshop, job, launcher).status == "succeeded"


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        ({"start": "nobody:full"}, NotFoundError, "no checkpoint 'nobody'"),
        ({"start": "coco:sideways"}, UsageError, "CHECKPOINT:full"),
        ({"start": "scratch:full"}, UsageError, "not understood"),
        ({"start": "scratch", "name": "coco"}, ConflictError, "reserved"),
        ({"start": "scratch", "name": "a b"}, UsageError, "cannot name"),
        ({"start": "coco:full", "architecture": "yolo11x"}, UsageError, "is a yolo11n"),
        ({"start": None}, UsageError, "no start"),
        ({"start": "scratch", "gpus": 3, "batch": 16}, UsageError, "multiple of 3"),
    ],
)
def test_what_makes_no_sense_is_refused_when_asked(
    workshop: Workshop, request_: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        workshop.ask("key", **request_)
    assert workshop.store.jobs.list() == ()


@pytest.mark.slow
def test_what_began_from_random_weights_is_registered_as_such(workshop: Workshop) -> None:
    ended = finished(workshop, workshop.ask("key", start="scratch", name="alone"))
    registered = workshop.store.checkpoints.get(str(ended.checkpoint))
    assert registered is not None
    assert registered.from_scratch


@pytest.mark.parametrize("asked", [{"gpus": 2, "batch": 4}, {"cpus": 5}])
def test_what_never_fits_is_refused_and_not_waited_for(workshop: Workshop, asked: dict[str, int]) -> None:
    job = workshop.ask("key", **asked)
    launcher = workshop.launcher(capacity=lambda: Capacity(cpus=4, gpus=1))
    launcher.step()
    ended = workshop.store.jobs.require(job.id)
    assert ended.status == "failed"
    assert "This machine has: 1 GPU, 4 CPU" in str(ended.error)
    assert not list(workshop.cluster.folder.iterdir())


def test_a_name_is_found_again_when_the_request_is_repeated(workshop: Workshop) -> None:
    first = workshop.ask("key", name="mine")
    make_checkpoint(workshop)
    assert workshop.ask("key", name="mine") == first


@pytest.mark.slow
def test_a_frozen_attempt_that_comes_back_changes_nothing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R4: its node went silent, another attempt finished, then it goes on as if nothing had been."""
    monkeypatch.setenv("TRIVIAL_SECONDS", "0.4")
    launcher = workshop.launcher()
    job = workshop.ask("key", epochs=4)
    until(launcher, lambda: epochs(workshop, job))
    workshop.cluster.kill(job.submission_id, signal.SIGSTOP)
    workshop.cluster.lose(job.submission_id)
    monkeypatch.setenv("TRIVIAL_SECONDS", "0")
    ended = finished(workshop, job, launcher)
    assert (ended.status, ended.attempt) == ("succeeded", 2)
    before = (
        workshop.store.runs.list(),
        workshop.store.checkpoints.list(),
        workshop.store.jobs.events(job.id),
    )
    workshop.cluster.kill(job.submission_id, signal.SIGCONT)
    end = time.monotonic() + 20
    while workshop.cluster.running(job.submission_id):
        launcher.step()
        time.sleep(0.05)
        assert time.monotonic() < end
    launcher.step()
    after = (
        workshop.store.runs.list(),
        workshop.store.checkpoints.list(),
        workshop.store.jobs.events(job.id),
    )
    assert after == before
    assert workshop.store.jobs.require(job.id) == ended
    # It noticed by itself: no outcome of its own, though nobody stopped it.
    assert not (workshop.folder / "storage" / attempt(job.id, 1, "outcome.json")).exists()


@pytest.mark.slow
def test_a_launch_that_comes_after_the_end_is_called_back(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher stands still before it submits; meanwhile another one carries a cancellation out."""
    monkeypatch.setenv("TRIVIAL_SECONDS", "5")
    job, other = workshop.ask("key", epochs=20), workshop.launcher(ttl_s=0)
    submit = workshop.cluster.submit
    ended: list[Job] = []

    def late(submission: Submission) -> None:
        monkeypatch.setattr(workshop.cluster, "submit", submit)
        workshop.store.jobs.request_cancel(job.id)
        ended.append(finished(workshop, job, other))
        submit(submission)
        until(other, lambda: workshop.cluster.state(submission.id) == "running")

    monkeypatch.setattr(workshop.cluster, "submit", late)
    workshop.launcher().step()
    assert ended[0].status == "cancelled"
    assert workshop.store.jobs.require(job.id) == ended[0]  # an end is final
    assert workshop.cluster.state(job.submission_id) == "stopped"
    assert workshop.cluster.starts() == 1


@pytest.mark.slow
def test_data_packed_by_the_command_that_asked_are_not_read_again(workshop: Workshop) -> None:
    """The launcher takes the archive of the same content: the user's images may even be gone by then."""
    job = workshop.ask("key")
    pack_dataset(open_dataset(workshop.data))
    shutil.rmtree(workshop.data)
    ended = finished(workshop, job)
    assert ended.status == "succeeded", ended.error


def test_random_weights_train_the_architecture_of_the_other_starts(workshop: Workshop) -> None:
    for number, architecture in enumerate(("yolov8n", "yolov8n", "yolo11n")):
        record = replace(make_checkpoint(workshop), name=f"c{number}", architecture=architecture)
        workshop.store.checkpoints.put(record)
    at_hand = checkpoints_at_hand(workshop.store)
    chosen = decode(TrainingSpec, workshop.ask("key").spec).architecture
    assert chosen == scratch_architecture(at_hand)
    targets = [open_dataset(workshop.data)]
    swept = plan_sweep(
        SweepRequest.model_validate({"datasets": [str(workshop.data)], "modes": ["scratch"]}),
        targets,
        workshop.store,
    )
    assert {spec.job.architecture for spec in swept.specs} == {chosen}
