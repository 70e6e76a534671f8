"""The estimate of a training stands beside what it took, wherever the run is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recommender.atomic_files import write_json
from recommender.costs.devices import calibration_file
from recommender.costs.estimates import (
    NOTHING_TIMED,
    UNKNOWN_NETWORK,
    estimate_training,
    expected_memory_mb,
    in_words,
    memory_beside,
    speed_here,
    time_beside,
)
from recommender.costs.gpus import gpu_speed
from recommender.costs.training_memory import training_memory_mb
from recommender.costs.training_time import Speed, TrainingWork
from recommender.records import EpochMetrics, Estimate, Recipe, Run, SplitCounts, Start
from recommender.report.runs import run_detail
from recommender.store import Store
from recommender.store.records_json import decode, encode
from tests.store.builders import checkpoint as make_checkpoint
from tests.store.builders import run as make_run
from tests.store.builders import training_job
from tune_jobs.artefact_transfer import Artefact
from tune_jobs.sweep.estimated import cost_in_words, estimates_of
from tune_jobs.sweep.run_recorder import RunRecorder
from tune_jobs.sweep.trial_spec import TrialSpec

SPEED = Speed(factor=2.0, num_runs=3, hardware="x")
IMAGES = SplitCounts(train=100, val=30)


def _estimate(speed: Speed | None = SPEED, **recipe: float) -> Estimate:
    asked = replace(Recipe(epochs=10, imgsz=320), **recipe)  # type: ignore[arg-type]
    return estimate_training(
        speed, architecture="yolo11n", mode="full", recipe=asked, num_images=IMAGES, flops_b=6.5
    )


def test_an_estimate_follows_epochs_and_the_share_of_the_data_and_says_what_it_goes_by() -> None:
    whole, longer, part = _estimate(), _estimate(epochs=20), _estimate(fraction=0.1)
    assert whole.seconds is not None
    assert longer.seconds is not None
    assert part.seconds is not None
    assert longer.seconds == pytest.approx(2 * whole.seconds, rel=0.05)
    assert part.seconds < 0.4 * whole.seconds
    assert "by 3 runs timed here" in in_words(whole)
    assert NOTHING_TIMED in in_words(_estimate(None))
    assert in_words(None) == ""
    assert SPEED.told == "x, by 3 runs timed here"
    assert replace(SPEED, num_runs=0).told == "x"


def _ended(epochs: int) -> Run:
    shape = make_run()
    return replace(
        shape,
        recipe=replace(shape.recipe, epochs=epochs),
        seconds=41.0,
        estimate=Estimate(seconds=60.0, memory_mb=500.0, basis="by 3 runs timed here"),
    )


def test_a_run_that_ended_early_is_compared_for_the_epochs_it_trained() -> None:
    assert time_beside(_ended(epochs=3)) == "41 s, estimated 60 s"
    assert time_beside(_ended(epochs=6)) == "41 s, estimated 30 s for 3 epochs"
    assert time_beside(make_run()) == "4 s"
    told = memory_beside(_ended(epochs=3))
    assert "at most 512 MB of memory, estimated" in told


def test_the_published_run_has_both() -> None:
    told = run_detail(_ended(epochs=6))
    assert (told.seconds, told.estimated_seconds) == (41.0, 30.0)
    assert told.estimate is not None
    assert told.estimate.basis == "by 3 runs timed here"
    assert told.estimated_memory_mb is not None


def test_a_trial_is_recorded_with_what_was_expected_and_a_run_of_before_is_read(tmp_path: Path) -> None:
    run = make_run("known")
    expected = Estimate(seconds=12.0)
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        RunRecorder(store, estimates={"known": expected}).accept(run)
        found = store.runs.get("known")
    assert found == replace(run, estimate=expected)
    earlier = encode(run).replace('"estimate": null, ', "")
    assert "estimate" not in earlier
    assert decode(Run, earlier) == run


def test_a_network_of_no_table_is_timed_by_its_checkpoint_or_not_at_all(tmp_path: Path) -> None:
    unknown = estimate_training(
        SPEED,
        architecture="yolov8n-p6",
        mode="full",
        recipe=Recipe(epochs=1, imgsz=64),
        num_images=IMAGES,
        flops_b=None,
    )
    assert unknown.seconds is None
    assert UNKNOWN_NETWORK in in_words(unknown)
    own = replace(make_checkpoint("own"), architecture="yolov8n-p6", num_parameters=4_800_000, flops_b=None)
    run = replace(make_run("timed"), architecture="yolov8n-p6", num_train_images=100)
    run = replace(run, start=Start(checkpoint="own", mode="full"), curve=_epochs(run.curve[0], 3))
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.runs.add(run)
        assert speed_here(store, "detect") is None
        store.checkpoints.put(own)
        found = speed_here(store, "detect")
    assert found is not None
    assert found.num_runs == 1


def test_a_trial_that_broke_off_times_nothing(tmp_path: Path) -> None:
    run = replace(make_run("broken"), architecture="yolo11n", num_train_images=0, status="failed")
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.runs.add(replace(run, curve=_epochs(run.curve[0], 3)))
        assert speed_here(store, "detect") is None


def test_memory_of_a_training_on_two_gpus_is_that_of_one_as_its_peak_is() -> None:
    run = make_run()
    cuda = replace(run.environment, device="cuda")
    run = replace(run, environment=cuda, estimate=Estimate(memory_mb=700.0), batch_used=run.recipe.batch)
    assert expected_memory_mb(run) == 700.0
    smaller = expected_memory_mb(replace(run, batch_used=run.recipe.batch // 2))
    assert smaller not in (None, 700.0)  # the batch was not what was asked for


def _epochs(first: EpochMetrics, number: int) -> tuple[EpochMetrics, ...]:
    return tuple(replace(first, epoch=i + 1, seconds=5.0 + 2.0 * i) for i in range(number))


def _timed_on(name: str, device: str, processes: int, seconds: float) -> Run:
    """A run of three epochs that took so many seconds each."""
    run = replace(make_run(name), num_train_images=1000)
    points = tuple(replace(run.curve[0], epoch=i + 1, seconds=5.0 + seconds * i) for i in range(3))
    where = replace(run.environment, device=device, num_processes=processes)
    return replace(run, curve=points, environment=where)


def test_only_runs_on_as_many_gpus_tell_the_time(tmp_path: Path) -> None:
    work = TrainingWork(
        flops_b=6.5, imgsz=224, mode="full", num_train_images=1000, num_val_images=300, epochs=1
    )
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.runs.add(_timed_on("four", "cuda:0", 4, 20.0))
        assert speed_here(store, "detect") is None
        assert speed_here(store, "detect", gpus=1) is None
        store.runs.add(_timed_on("one", "cuda:0", 1, 80.0))
        assert speed_here(store, "detect", gpus=0) is None  # not a GPU's time for a processor
        store.runs.add(_timed_on("none", "cpu", 1, 800.0))
        found = {gpus: speed_here(store, "detect", gpus=gpus) for gpus in (0, 1, 4)}
        epochs = {gpus: speed.epoch_s(work) for gpus, speed in found.items() if speed is not None}
        assert speed_here(store, "detect", gpus=2) is None
    assert epochs == pytest.approx({0: 800.0, 1: 80.0, 4: 20.0}, rel=0.1)


@pytest.mark.parametrize(("gpu_here", "epoch_s"), [(True, 80.0), (False, 800.0)])
def test_of_both_kinds_of_runs_those_on_a_gpu_tell_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu_here: bool, epoch_s: float
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu_here)
    work = TrainingWork(
        flops_b=6.5, imgsz=224, mode="full", num_train_images=1000, num_val_images=300, epochs=1
    )
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.runs.add(_timed_on("one", "cuda:0", 1, 80.0))
        store.runs.add(_timed_on("processor", "cpu", 1, 800.0))
        speed = speed_here(store, "detect")
    assert speed is not None
    assert speed.epoch_s(work) == pytest.approx(epoch_s, rel=0.1)


def test_what_was_too_short_to_tell_is_not_called_untimed(tmp_path: Path, home: Path) -> None:
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.runs.add(replace(_timed_on("tiny", "cpu", 1, 0.2), num_train_images=8))
        told = in_words(_estimate(speed_here(store, "detect")))
    assert "since nothing long enough to tell was timed here: `recommend calibrate`" in told


def test_an_unknown_time_on_several_gpus_or_without_the_calibrated_one_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path))
    unknown = _estimate(None)
    assert "nothing long enough to tell was timed here on 4 GPUs" in in_words(unknown, 4)
    assert NOTHING_TIMED in in_words(unknown, 0)
    model = {"latency_ms": 5.0, "memory_mb": None, "flops_b": 6.7, "runtime": "pytorch"}
    facts = {"title": "this", "source": "s", "per_operation": 0.8, "per_pixel": 0.6, "gpu": "Tesla T4"}
    write_json(calibration_file(), facts | {"models": {"yolo11n": model}})
    assert "on the processor alone" in in_words(unknown, 0)
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        assert speed_here(store, "detect", gpus=0) is None
        assert speed_here(store, "detect", gpus=4) is None
        assert speed_here(store, "detect", gpus=1) == gpu_speed("t4")


def test_a_gpu_s_time_is_not_told_by_a_calibrated_processor_and_no_calibration_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path))
    model = {"latency_ms": 5.0, "memory_mb": None, "flops_b": 6.7, "runtime": "pytorch"}
    facts = {"title": "this", "source": "s", "per_operation": 0.8, "per_pixel": 0.6, "gflop_s": 0.01}
    write_json(calibration_file(), facts | {"models": {"yolo11n": model}})
    told = in_words(_estimate(None), 1)
    assert "nothing long enough to tell was timed here on a GPU" in told
    assert "calibrate" not in told


def test_trials_on_processors_are_not_told_a_gpu_s_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path))
    job = training_job(tmp_path, kind="trial")
    data = Artefact(source=tmp_path, key="k", kind="dataset", sha256="0" * 64, num_bytes=1)
    spec = TrialSpec(job=job, data=data, weights=None, num_images=IMAGES)
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.runs.add(_timed_on("one", "cuda:0", 1, 80.0))
        assert "by a rough guess from 1 run timed here" in cost_in_words([spec], store, gpus_per_trial=None)
        assert "not known" in cost_in_words([spec], store, gpus_per_trial=0)
        store.runs.add(_timed_on("none", "cpu", 1, 800.0))
        store.runs.add(_timed_on("another", "cuda:0", 1, 80.0))
        (slow,) = estimates_of([spec], store, gpus_per_trial=0).values()
        (fast,) = estimates_of([spec], store, gpus_per_trial=None).values()
    assert (slow.basis, fast.basis) == (
        "by a rough guess from 1 run timed here",
        "by 2 runs timed here",
    )


def test_runs_of_before_open_with_one_process() -> None:
    run = make_run()
    earlier = encode(run).replace('"num_processes": 1, ', "")
    assert "num_processes" not in earlier
    assert decode(Run, earlier) == run


def test_memory_of_a_run_on_several_gpus_is_of_its_share_of_the_batch() -> None:
    run = make_run()
    shared = replace(run.environment, device="cuda:0", num_processes=4)
    assert expected_memory_mb(replace(run, environment=shared)) == training_memory_mb(
        run.architecture, run.recipe.imgsz, run.recipe.batch // 4
    )
