"""The calibration of a machine: what is timed on a processor, what on a GPU, and what earlier versions kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recommender.atomic_files import write_json
from recommender.costs.calibration import calibrate, calibrated_speed
from recommender.costs.devices import CPU_PER_PIXEL, GPU_PER_PIXEL, calibration, calibration_file
from recommender.costs.gpus import gpu_speed
from recommender.costs.training_time import TrainingWork

WORK = TrainingWork(flops_b=6.5, imgsz=640, mode="full", num_train_images=1000, num_val_images=100, epochs=10)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path))


def _keep(title: str, per_pixel: float, **more: Any) -> None:
    """Write a calibration as a version keeps it."""
    model = {"latency_ms": 5.0, "memory_mb": None, "flops_b": 6.7, "runtime": "pytorch"}
    facts = {"title": title, "source": "recommend calibrate", "per_operation": 0.8, "per_pixel": per_pixel}
    write_json(calibration_file(), facts | {"models": {"yolo11n": model}} | more)


@pytest.mark.parametrize(
    "more", [{"gflop_s": None, "gpu": "NVIDIA H200"}, {"gflop_s": 0.01}], ids=["of today", "of before"]
)
def test_hours_on_a_calibrated_gpu_are_those_published_and_said_to_be(more: dict[str, Any]) -> None:
    """A step of two small images waits for the processor: by its time hours came out 14 to 29 times too long."""
    _keep("this machine (NVIDIA H200, 16 threads), PyTorch", GPU_PER_PIXEL, **more)
    speed = calibrated_speed()
    assert speed is not None
    assert speed.seconds(WORK) == gpu_speed("h200").seconds(WORK)
    assert speed.basis == "estimated for h200 from published training times, not timed here"
    found = calibration()
    assert found is not None
    assert found.device.models["yolo11n"].latency_ms == 5.0
    assert calibrated_speed(gpu=True) == speed
    assert calibrated_speed(gpu=False) is None


def test_hours_on_a_calibrated_processor_are_timed_in_files_of_before_too() -> None:
    _keep("this machine (x86, 2 threads), PyTorch", CPU_PER_PIXEL, gflop_s=0.03)
    speed = calibrated_speed(gpu=False)
    assert speed is not None
    assert speed.gflop_s == 0.03
    assert speed.basis == "by the calibration of this machine"
    assert calibrated_speed() == speed
    assert calibrated_speed(gpu=True) is None


@pytest.mark.slow
def test_what_is_measured_here_is_read_back() -> None:
    found = calibrate()
    assert found == calibration()
    assert (found.gflop_s is None) == (found.gpu is not None)  # training is timed on a processor only
    assert min(model.latency_ms for model in found.device.models.values()) > 0
    assert json.loads(calibration_file().read_text("utf-8")) == found.document()
