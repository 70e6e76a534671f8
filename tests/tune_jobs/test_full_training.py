"""Full trainings with the real training function: killed and resumed, its files, its record, its use as a start."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from recommender.records import Job, Run
from tests.processes import PYTHON, run_command
from tests.tune_jobs.launch_kit import ROOT, Workshop, finished, until
from tune_jobs import hosting
from tune_jobs.launcher import Launcher

REAL = "tune_jobs.full_training"


@pytest.fixture
def workshop(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """With its hosts ended after the test."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield workshop
    for host in hosting._started.values():
        host.terminate()
        host.wait(timeout=60)
    hosting._started.clear()


def see_through(
    workshop: Workshop, job: Job, launcher: Launcher, *, kill_after: int | None = None, timeout_s: float = 240
) -> Run:
    """Step to the end, killing the first attempt after so many epochs; returns the run."""

    def come_to(epoch: int) -> bool:
        metrics = workshop.store.jobs.require(job.id).metrics
        return metrics is not None and metrics.epoch >= epoch

    if kill_after is not None:
        until(launcher, lambda: come_to(kill_after), timeout_s)
        workshop.cluster.kill(job.submission_id)
    ended = finished(workshop, job, launcher, timeout_s)
    assert ended.status == "succeeded", ended.error
    run = workshop.store.runs.get(str(ended.run_id))
    assert run is not None
    return run


@pytest.mark.slow
def test_a_killed_training_resumes_leaves_its_files_and_becomes_a_start(workshop: Workshop) -> None:
    launcher = workshop.launcher(module=REAL)
    job = workshop.ask("key", start="coco:full", epochs=4, cpus=1, name="ours")
    run = see_through(workshop, job, launcher, kill_after=1)
    ended = workshop.store.jobs.require(job.id)
    assert ended.attempt == 2
    assert [point.epoch for point in run.curve] == [1, 2, 3, 4]
    assert any("resumed after epoch" in note for note in run.notes)
    results = Path(str(ended.artefacts))
    rows = list(csv.DictReader((results / "results.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    for row, point in zip(rows, run.curve, strict=True):
        assert float(row["metrics/mAP50-95(B)"]) == pytest.approx(point.score, abs=1e-5)
    assert (results / "results.png").read_bytes().startswith(b"\x89PNG")
    assert "epochs: 4" in (results / "args.yaml").read_text()
    assert_ultralytics_loads(results / "weights" / "best.pt", ["circle", "square"])
    # The next training can start from it, and the next recommendation ranks it.
    again = workshop.ask("second", start="ours:freeze", epochs=1, cpus=1)
    second = see_through(workshop, again, launcher)
    assert second.weights_sha256 == workshop.store.checkpoints.get("ours").sha256  # type: ignore[union-attr]
    assert second.source_hash == workshop.target.hash
    assert second.starting_score is not None
    from recommender.candidates.choosing import choose_starts
    from recommender.datasets import open_dataset
    from recommender.profile.known import known_profile
    from recommender.progress import silent
    from recommender.requests import RecommendRequest

    request = RecommendRequest.model_validate({"dataset": str(workshop.data), "offline": True})
    profile = known_profile(open_dataset(workshop.data), workshop.store)
    situations, _ = choose_starts(request, workshop.store, profile, silent, imgsz=request.imgsz)
    ours = next(one for one in situations if one.start.checkpoint == "ours")
    assert ours.source is not None
    assert ours.source.dataset_hash == workshop.target.hash


@pytest.mark.slow
def test_the_record_alone_suffices_to_train_the_same_again(workshop: Workshop) -> None:
    """S2: the command made from a run's record gives the same run, number for number."""
    from recommender.report.runs import repeat_command
    from recommender.requests import TrainingRequest
    from recommender.training_recipe import recipe_of

    launcher = workshop.launcher(module=REAL)
    first = see_through(workshop, workshop.ask("one", epochs=2, cpus=1, seed=5, patience=7), launcher)
    words = repeat_command(first).split()
    options = {
        words[i].removeprefix("--").replace("-", "_"): words[i + 1] for i in range(2, len(words) - 1, 2)
    }
    request = TrainingRequest.model_validate(options | {"dataset": str(workshop.data)})
    assert recipe_of(request) == first.recipe
    fields = request.model_dump(exclude={"dataset"})
    second = see_through(workshop, workshop.ask("two", **fields), launcher)
    assert second.id == first.id
    assert [(p.score, p.details["map50"], p.details["recall"]) for p in second.curve] == [
        (p.score, p.details["map50"], p.details["recall"]) for p in first.curve
    ]
    for known in (first.target_hash, first.environment.hardware, first.environment.versions["torch"]):
        assert known


def assert_ultralytics_loads(file: Path, names: list[str]) -> None:
    """In a process of its own, with ultralytics' own safe loading."""
    code = (
        "import sys; from ultralytics import YOLO; m = YOLO(sys.argv[1]); import numpy as np;"
        "m.predict(np.zeros((64, 64, 3), np.uint8), imgsz=64, verbose=False, save=False);"
        "print(list(m.names.values()))"
    )
    from recommender.ultralytics_safety import safe_environment

    done = run_command(*PYTHON, code, file, env={**os.environ, **safe_environment()}, cwd=file.parent)
    assert done.stdout.strip().endswith(str(names))


def words(process: psutil.Process) -> list[str]:
    """Its command line; none of a process that is gone, or only waits to be buried."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


@pytest.mark.ray
@pytest.mark.slow
def test_the_command_survives_the_death_of_its_launcher_and_of_ray(workshop: Workshop) -> None:
    """On a local Ray started for it; its launcher is killed in the middle, and Ray dies with it."""
    import json

    environment = {**os.environ, "RECOMMENDER_STORE_URL": workshop.store.url, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-c",
        "from recommender.cli import main; main()",
        "train",
        "--dataset",
        str(workshop.data),
        "--json",
    ]
    command += [
        "--start",
        "scratch",
        "--epochs",
        "12",
        "--imgsz",
        "64",
        "--batch",
        "4",
        "--cpus",
        "1",
        "--gpus",
        "0",
    ]
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as shell:
        end = time.monotonic() + 400
        job = None
        while job is None or job.metrics is None:
            assert shell.poll() is None, shell.communicate()
            assert time.monotonic() < end
            job = next(iter(workshop.store.jobs.list()), None)
            time.sleep(0.2)
        hosts = [
            child for child in psutil.Process(shell.pid).children() if "tune_jobs.hosting" in words(child)
        ]
        family = hosts[0].children(recursive=True)
        trainings = [child for child in family if REAL in words(child)]
        assert trainings, "the training was over before it could be interrupted"
        hosts[0].send_signal(signal.SIGKILL)
        for training in trainings:  # Ray takes seconds to follow its launcher, in which it could end
            training.send_signal(signal.SIGKILL)
        output, errors = shell.communicate(timeout=400)
    assert shell.returncode == 0, errors
    document = json.loads(output)
    assert (document["status"], document["attempts"]) == ("succeeded", 2)
    run = workshop.store.runs.get(document["run"])
    assert run is not None
    assert [point.epoch for point in run.curve] == list(range(1, 13))
    assert b"epoch 12/12" in errors
    end = time.monotonic() + 30
    while left := [child for child in family if words(child)]:
        assert time.monotonic() < end, f"the old Ray is left behind: {left}"
        time.sleep(0.2)


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_without_a_shared_disk_trains_and_sends_its_results(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tune_jobs.hosting import JobLocation, ensure_host
    from tune_jobs.local_environment import free_port
    from tune_jobs.local_ray import head_command
    from tune_jobs.training_spec import submit_training

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    port = free_port()
    head = subprocess.Popen(
        head_command(free_port(), num_cpus=2, port=port),
        env={**os.environ, "RECOMMENDER_HOME": str(tmp_path / "home of the head")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        place = JobLocation(address=f"127.0.0.1:{port}", python=sys.executable)
        from recommender.requests import TrainingRequest

        asked = {"dataset": str(workshop.data), "start": "coco:full", "epochs": 1, "imgsz": 64, "batch": 4}
        request = TrainingRequest.model_validate(asked | {"gpus": 0, "cpus": 1})
        job, _ = submit_training(workshop.store, request, workshop.target, key="k", cluster=place.cluster)
        end = time.monotonic() + 400
        while not workshop.store.jobs.require(job.id).ended:
            assert time.monotonic() < end
            assert head.poll() is None
            ensure_host(workshop.store, place)
            time.sleep(0.5)
    finally:
        head.terminate()
        head.wait(timeout=60)
    ended = workshop.store.jobs.require(job.id)
    assert ended.status == "succeeded", ended.error
    results = Path(str(ended.artefacts))
    assert results.is_relative_to(tmp_path / "home")
    assert (results / "weights" / "best.pt").is_file()
    assert workshop.store.checkpoints.get(str(ended.checkpoint)) is not None
    left = [p for p in (tmp_path / "home of the head" / "storage").rglob("*.p*") if p.is_file()]
    assert left == [], "the head's disk is not ours to fill"
