"""The duration of a training: the model of work, and the speed that recorded runs show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.costs.estimates import LOOKED_AT
from recommender.costs.gpus import speed_before_runs
from recommender.costs.training_time import NEWEST, START_S, Speed, TrainingWork, known_speed
from recommender.forecast.history import builtin_history
from recommender.records import Run
from tests.store.builders import run as make_run

FLOPS = {"yolo11n": 6.5}
WORK = TrainingWork(flops_b=6.5, imgsz=640, mode="full", num_train_images=1000, num_val_images=100, epochs=10)


def test_work_grows_with_images_size_and_network_and_shrinks_when_frozen() -> None:
    assert replace(WORK, num_train_images=2000, num_val_images=200).epoch_s == pytest.approx(2 * WORK.epoch_s)
    assert replace(WORK, imgsz=1280).epoch_s > 3 * WORK.epoch_s
    assert replace(WORK, flops_b=23.5).epoch_s > 3 * WORK.epoch_s
    assert replace(WORK, mode="freeze").epoch_s < 0.7 * WORK.epoch_s
    speed = Speed(factor=2.0, num_runs=1, hardware="x")
    assert speed.seconds(WORK) == pytest.approx(START_S + 20 * WORK.epoch_s)


def _timed(factor: float, hardware: str = "x") -> Run:
    """A run whose epochs took `factor` times what the constants say."""
    shape = make_run()
    work = replace(WORK, num_train_images=100, num_val_images=30, imgsz=192)
    points = tuple(
        replace(shape.curve[0], epoch=i + 1, seconds=5.0 + factor * work.epoch_s * i) for i in range(4)
    )
    return replace(
        shape,
        architecture="yolo11n",
        start=replace(shape.start, mode="full"),
        num_train_images=100,
        recipe=replace(shape.recipe, imgsz=192),
        curve=points,
        environment=replace(shape.environment, hardware=hardware),
    )


def test_the_newest_hardware_tells_the_speed_and_one_odd_run_does_not_move_it() -> None:
    assert known_speed([], FLOPS) is None
    assert known_speed([_timed(1.0)], {}) is None  # a network of unknown size
    found = known_speed([_timed(3.0), _timed(30.0), _timed(3.0), _timed(9.0, "older machine")], FLOPS)
    assert found is not None
    assert found.factor == pytest.approx(3.0)
    assert (found.num_runs, found.hardware) == (3, "x")


def test_a_run_on_a_handful_of_images_tells_no_speed() -> None:
    """Two epochs on one image had made a training of minutes one of 361 hours."""
    few = replace(_timed(3.0), num_train_images=1)
    assert known_speed([few], FLOPS) is None
    found = known_speed([few, _timed(2.0)], FLOPS)
    assert found is not None
    assert found.factor == pytest.approx(2.0)
    assert found.num_runs == 1


def test_runs_of_the_same_task_and_kind_tell_the_speed_where_there_are_any() -> None:
    trial = replace(_timed(3.0), kind="trial")
    masks = replace(_timed(5.0), task="segment")
    runs = [masks, trial, _timed(2.0)]
    factors = [known_speed(runs, FLOPS, task="detect", kind=kind) for kind in ("full", "trial")]
    assert [found.factor for found in factors if found] == pytest.approx([2.0, 3.0])
    older = replace(_timed(9.0, "older machine"), kind="full")
    newest = known_speed([trial, older], FLOPS, task="detect", kind="full")
    assert newest is not None
    assert newest.hardware == "x"  # a machine of today before the kind
    other = known_speed(runs, FLOPS, task="classify", kind="full")
    assert other is not None
    assert other.num_runs == 2  # nothing of this task: whatever ran


def test_runs_on_a_gpu_at_one_image_size_tell_the_time_at_another() -> None:
    """An epoch of few images takes a GPU as long at 160 px as at 320: on a processor's terms 640 px took 9 times it."""
    runs = [run for run in builtin_history("detect").runs if run.environment.device.startswith("cuda")]
    small = [run for run in runs if run.recipe.imgsz == 160]
    large = [run for run in runs if run.recipe.imgsz == 640]
    known = known_speed(small, FLOPS, reference=speed_before_runs)
    assert known is not None
    for run in large:
        work = replace(
            WORK, mode=run.start.mode, num_train_images=run.num_train_images, num_val_images=50, epochs=100
        )
        assert 0.4 < known.seconds(work) / run.seconds < 1.5  # 21 others shared the processor with it


def test_a_gpu_is_known_by_the_name_its_driver_tells() -> None:
    def of(hardware: str, device: str = "cuda:0") -> str:
        return speed_before_runs(replace(make_run().environment, hardware=hardware, device=device)).hardware

    assert of("NVIDIA GeForce RTX 4090").startswith("rtx-4090,")
    assert of("NVIDIA A100-SXM4-40GB").startswith("a100,")
    assert of("NVIDIA L20").startswith("NVIDIA L20, ")  # not an L4: one that is not known
    unknown = speed_before_runs(replace(make_run().environment, hardware="NVIDIA L20", device="cuda:0"))
    assert "as if it were a V100" in unknown.known_by
    assert of("Tesla T4", "cpu") == "a processor"


@pytest.mark.parametrize(
    ("driver", "known"),
    [
        ("NVIDIA GeForce RTX 5070 Ti", "rtx-5070ti"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx-4090-laptop"),
        ("NVIDIA GeForce RTX 3090 Ti", "rtx-3090ti"),
        ("NVIDIA GeForce RTX 3080 Ti Laptop GPU", None),
        ("NVIDIA GeForce GTX 1080", None),
        ("NVIDIA L40S", "l40s"),
        ("AMD Instinct MI300X", "mi300x"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("NVIDIA H100 80GB HBM3", "h100"),
    ],
)
def test_a_driver_s_name_means_one_card_or_none(driver: str, known: str | None) -> None:
    speed = speed_before_runs(replace(make_run().environment, hardware=driver, device="cuda:0"))
    assert ("as if it were a V100" in speed.known_by) == (known is None)
    assert speed.hardware.startswith(f"{known or driver},")


def test_half_of_the_recorded_runs_took_what_the_ones_before_them_said() -> None:
    runs = sorted(builtin_history("detect").runs, key=lambda run: run.created_at)
    close = 0
    judged = [i for i in range(NEWEST, len(runs)) if len(runs[i].curve) > 1]
    for i in judged:
        run, speed = runs[i], known_speed(runs[max(0, i - LOOKED_AT) : i][::-1], FLOPS)
        assert speed is not None
        work = replace(
            WORK,
            imgsz=run.recipe.imgsz,
            mode=run.start.mode,
            num_train_images=run.num_train_images,
            num_val_images=round(0.3 * run.num_train_images),
            epochs=len(run.curve),
        )
        close += 0.75 <= speed.seconds(work) / run.seconds <= 1.25
    assert close >= 0.5 * len(judged)
