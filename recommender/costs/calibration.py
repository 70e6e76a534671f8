"""Measure this machine: latency and training speed of real architectures, kept beside the store."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from recommender.atomic_files import write_json
from recommender.costs.devices import (
    TABLE_SIZE,
    THIS,
    Calibration,
    Device,
    Measured,
    calibration,
    calibration_file,
)
from recommender.costs.image_sizes import operations_of
from recommender.costs.training_time import IMAGE_S, Speed
from recommender.progress import Progress, silent

if TYPE_CHECKING:
    import torch

ARCHITECTURES = ("yolo11n", "yolov8n", "yolo11s")
REPEATS = 2  # the median of them counts; one more goes first and is thrown away
TRAIN_SIZE, TRAIN_BATCH = 320, 2  # pixels, images: enough to see the pace, and a matter of a second
CUDA, CPU = "cuda", "cpu"


def calibrate(progress: Progress = silent) -> Calibration:
    """Time one image and one training step of each architecture with random weights, and keep what was found."""
    import torch

    device = torch.device(CUDA if torch.cuda.is_available() else CPU)
    models: dict[str, Measured] = {}
    steps = []
    for done, name in enumerate(ARCHITECTURES):
        progress("calibrate", done, len(ARCHITECTURES))
        flops = operations_of(name) or 0.0
        latency_ms, step_s = _time(name, device)
        models[name] = Measured(
            latency_ms=round(latency_ms, 2), memory_mb=None, flops_b=flops, runtime="pytorch"
        )
        steps.append(step_s / (flops * (TRAIN_SIZE / TABLE_SIZE) ** 2))
    progress("calibrate", len(ARCHITECTURES), len(ARCHITECTURES))
    found = Calibration(
        device=Device(
            name=THIS,
            title=f"this machine ({_hardware(device)}, {torch.get_num_threads()} threads), PyTorch",
            source="recommend calibrate",
            per_operation=_slope(list(models.values())),
            per_pixel=1.0 if device.type == CPU else 0.6,
            models=models,
        ),
        gflop_s=round(statistics.median(steps), 6),
    )
    write_json(calibration_file(), found.document())
    return found


def calibrated_speed() -> Speed | None:
    """The speed of trainings on this machine by its calibration; None where there is none."""
    found = calibration()
    if found is None or not found.gflop_s:
        return None
    return Speed(factor=1.0, num_runs=0, hardware=found.device.title, image_s=IMAGE_S, gflop_s=found.gflop_s)


def _time(name: str, device: torch.device) -> tuple[float, float]:
    """Milliseconds for one image, and seconds of a training step for one image."""
    import torch

    from recommender.checkpoints import build_model

    model = build_model(name, 80).to(device)
    image = torch.rand(1, 3, TABLE_SIZE, TABLE_SIZE, device=device)
    batch = torch.rand(TRAIN_BATCH, 3, TRAIN_SIZE, TRAIN_SIZE, device=device)
    with torch.inference_mode():
        latency_s = _median_s(lambda: model.eval()(image), device)

    def step() -> None:
        model.zero_grad()
        outputs = model.train()(batch)
        sum(_total(output) for output in _tensors(outputs)).backward()  # type: ignore[union-attr]

    return 1000 * latency_s, _median_s(step, device) / TRAIN_BATCH


def _total(output: torch.Tensor) -> torch.Tensor:
    return output.float().mean()


def _tensors(outputs: object) -> list[torch.Tensor]:
    """Every tensor with a gradient in what a model returns, however nested."""
    if isinstance(outputs, dict):
        return [tensor for part in outputs.values() for tensor in _tensors(part)]
    if isinstance(outputs, (list, tuple)):
        return [tensor for part in outputs for tensor in _tensors(part)]
    import torch

    return [outputs] if isinstance(outputs, torch.Tensor) and outputs.requires_grad else []


def _median_s(run: Callable[[], object], device: torch.device) -> float:
    import torch

    seconds = []
    for _ in range(REPEATS + 1):
        began_at = time.perf_counter()
        run()
        if device.type == CUDA:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began_at)
    return statistics.median(seconds[1:])


def _slope(models: Sequence[Measured]) -> float:
    """The exponent of latency in the operations, within [0.3, 1]."""
    flops, latency = (np.log([getattr(one, name) for one in models]) for name in ("flops_b", "latency_ms"))
    return round(min(1.0, max(0.3, float(np.polyfit(flops, latency, 1)[0]))), 3)


def _hardware(device: torch.device) -> str:
    import torch

    if device.type == CUDA:
        return str(torch.cuda.get_device_name())
    return platform.processor() or platform.machine() or os.name
