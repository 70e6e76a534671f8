"""Measure this machine: latency and training speed of real architectures, kept beside the store.

Training is timed on a processor only. On a GPU the few small steps of a calibration wait for the processor to ask for
them, so scaled up by operations they make hours many times too long; there the published times say more.
"""

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
    CPU_PER_PIXEL,
    GPU_PER_PIXEL,
    TABLE_SIZE,
    THIS,
    Calibration,
    Device,
    Measured,
    calibration,
    calibration_file,
)
from recommender.costs.gpus import speed_before_runs
from recommender.costs.image_sizes import operations_of
from recommender.costs.training_time import IMAGE_S, Speed
from recommender.progress import Progress, silent
from recommender.records import Environment

if TYPE_CHECKING:
    import torch
    from torch.nn import Module

ARCHITECTURES = ("yolo11n", "yolov8n", "yolo11s")
REPEATS = 2  # the median of them counts; one more goes first and is thrown away
TRAIN_SIZE, TRAIN_BATCH = 320, 2  # pixels, images: enough to see the pace, and a matter of a second
CUDA, CPU = "cuda", "cpu"


def calibrate(progress: Progress = silent) -> Calibration:
    """Time each architecture with random weights, and keep what was found.

    One image of each; on a processor one training step too.
    """
    import torch

    device = torch.device(CUDA if torch.cuda.is_available() else CPU)
    on_gpu = device.type == CUDA
    models: dict[str, Measured] = {}
    steps = []
    for done, name in enumerate(ARCHITECTURES):
        progress("calibrate", done, len(ARCHITECTURES))
        flops = operations_of(name) or 0.0
        model = _model(name, device)
        latency_ms = _latency_ms(model, device)
        models[name] = Measured(
            latency_ms=round(latency_ms, 2), memory_mb=None, flops_b=flops, runtime="pytorch"
        )
        if not on_gpu:
            steps.append(_step_s(model, device) / (flops * (TRAIN_SIZE / TABLE_SIZE) ** 2))
    progress("calibrate", len(ARCHITECTURES), len(ARCHITECTURES))
    found = Calibration(
        device=Device(
            name=THIS,
            title=f"this machine ({_hardware(device)}, {torch.get_num_threads()} threads), PyTorch",
            source="recommend calibrate",
            per_operation=_slope(list(models.values())),
            per_pixel=GPU_PER_PIXEL if on_gpu else CPU_PER_PIXEL,
            models=models,
        ),
        gflop_s=None if on_gpu else round(statistics.median(steps), 6),
        gpu=_hardware(device) if on_gpu else None,
    )
    write_json(calibration_file(), found.document())
    return found


def calibrated_speed(*, gpu: bool | None = None) -> Speed | None:
    """The speed of trainings on this machine by its calibration, of a GPU as published.

    None where there is none, or where it was made on a GPU and none is to train, or the other way round; `gpu` None
    takes either.
    """
    found = calibration()
    if found is None or (gpu is not None and gpu != (found.gpu is not None)):
        return None
    if found.gpu is not None:
        return speed_before_runs(
            Environment(hardware=found.gpu, device=CUDA, num_threads=os.cpu_count() or 1, versions={})
        )
    if not found.gflop_s:
        return None
    return Speed(
        factor=1.0,
        num_runs=0,
        hardware=found.device.title,
        image_s=IMAGE_S,
        gflop_s=found.gflop_s,
        known_by="by the calibration of this machine",
    )


def _model(name: str, device: torch.device) -> Module:
    from recommender.checkpoints import build_model

    model: Module = build_model(name, 80).to(device)
    return model


def _latency_ms(model: Module, device: torch.device) -> float:
    """Milliseconds for one image."""
    import torch

    image = torch.rand(1, 3, TABLE_SIZE, TABLE_SIZE, device=device)
    with torch.inference_mode():
        return 1000 * _median_s(lambda: model.eval()(image), device)


def _step_s(model: Module, device: torch.device) -> float:
    """Seconds of a training step for one image."""
    import torch

    batch = torch.rand(TRAIN_BATCH, 3, TRAIN_SIZE, TRAIN_SIZE, device=device)

    def step() -> None:
        model.zero_grad()
        outputs = model.train()(batch)
        sum(output.float().mean() for output in _tensors(outputs)).backward()  # type: ignore[union-attr]

    return _median_s(step, device) / TRAIN_BATCH


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
