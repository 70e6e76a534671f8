"""The estimate of a training's memory, and the warning where a GPU does not hold it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.training_memory import PUBLISHED_GB, count
from recommender.checkpoints import catalogue
from recommender.costs.notices import _too_large
from recommender.costs.training_memory import FILE, FRAMEWORK_MB, largest_batch, training_memory_mb
from tests.report.kit import ranked


def test_it_grows_with_batch_size_and_model() -> None:
    small = training_memory_mb("yolo11n", 640, 16) or 0.0
    assert 1000 < small < 8000  # MB: between what is plainly too little and too much for a nano model
    assert training_memory_mb("yolo11n", 640, 32) == pytest.approx(2 * small, rel=0.05)
    assert training_memory_mb("yolo11n", 320, 16) == pytest.approx(small / 4, rel=0.1)
    assert (training_memory_mb("yolo11m", 640, 16) or 0.0) > 2 * small
    assert (training_memory_mb("yolo11n", 640, 16, on_gpu=False) or 0.0) > 1.4 * small
    assert training_memory_mb("a network of nobody", 640, 16) is None


@pytest.mark.parametrize("name", PUBLISHED_GB)
def test_it_is_near_the_peaks_that_others_published(name: str) -> None:
    estimated = (training_memory_mb(name, 640, 16) or 0.0) / 1024
    assert estimated == pytest.approx(PUBLISHED_GB[name], rel=0.1)


def test_every_architecture_of_every_task_is_counted() -> None:
    assert all(training_memory_mb(entry.architecture, 640, 16) for entry in catalogue())
    cls = training_memory_mb("yolov8n-cls", 224, 16) or 0.0
    assert cls < 0.1 * (training_memory_mb("yolov8n-seg", 640, 16) or 0.0)


def test_the_count_is_what_a_real_step_keeps() -> None:
    for name in ("yolov8n-cls", "yolo11n-seg"):
        table = json.loads(FILE.read_text(encoding="utf-8"))[name]
        assert count(name) == pytest.approx(table, rel=0.03)


def test_the_batch_that_fits_is_the_largest() -> None:
    batch = largest_batch("yolo11x", 640, 16 * 1024)
    fits, beyond = (training_memory_mb("yolo11x", 640, size) or 0.0 for size in (batch, 2 * batch))
    assert fits + FRAMEWORK_MB <= 16 * 1024 < beyond + FRAMEWORK_MB
    assert largest_batch("yolo11x", 640, 100) == largest_batch("a network of nobody", 640, 10**6) == 0


def test_a_gpu_that_does_not_hold_the_batch_is_told_with_one_that_it_does() -> None:
    needed = training_memory_mb("yolo11x", 1280, 16)
    row = ranked(1, "yolo11x", "full", architecture="yolo11x", imgsz=1280, training_mb=needed)
    note = _too_large(row, "T4")
    fits = largest_batch("yolo11x", 1280, 16 * 1024)
    assert note is not None
    assert f"--batch {fits}." in note.message
    at_random = replace(row, checkpoint="scratch", mode="scratch", architecture=None)
    note = _too_large(at_random, "T4", "yolo11x")
    assert note is not None
    assert f"--batch {fits}." in note.message
    note = _too_large(replace(row, training_mb=16 * 1024 - FRAMEWORK_MB + 1), "T4")
    assert note is not None
    assert "takes about 16.1 GB, and T4 has 16;" in note.message
    assert _too_large(row, None) is _too_large(replace(row, training_mb=500.0), "t4") is None


def test_rtdetr_takes_a_gpu_as_much_as_it_does_in_full_precision() -> None:
    """It trains in full precision everywhere, so half of it was forecast."""
    gpu, processor = (training_memory_mb("rtdetr-l", 640, 16, on_gpu=on_gpu) for on_gpu in (True, False))
    assert gpu == processor
    assert gpu is not None
    assert largest_batch("rtdetr-l", 640, gpu + FRAMEWORK_MB) == 16
    assert largest_batch("rtdetr-l", 640, gpu + FRAMEWORK_MB - 1) == 8
    assert training_memory_mb("yolo11n", 640, 16) != training_memory_mb("yolo11n", 640, 16, on_gpu=False)
