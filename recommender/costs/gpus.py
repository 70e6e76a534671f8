"""Rough speed of trainings on GPUs: from published training times on a V100, scaled by memory bandwidth.

ultralytics/yolov5's README: YOLOv5n/s/m/l/x take 1/2/4/6/8 days on a V100 for 300 epochs of COCO's 118,287 images, so
2.1 ms an image and .085 ms for every 10^9 operations. Other GPUs are taken to differ as their memory's bandwidth does
(their makers' data sheets, not checked against them here): such networks train at the pace of the memory.

No GPU is faster than the processor that feeds it. One was timed, an NVIDIA H200 with 16 processor cores and four
processes that load data: YOLO11n in batches of 16, 160 images and 60 for validation, took .95, 1.03 and 1.23 s an epoch
at 160, 320 and 640 px (`python -m benchmarks.gpu_epochs`), where memory alone asked for .02 to .1 s. The runs of a
machine's own history say more about that machine.
"""

from __future__ import annotations

import re
from dataclasses import replace

from recommender.costs.devices import usual_spelling
from recommender.costs.training_time import ROUGH, Speed
from recommender.errors import UsageError
from recommender.records import Environment

V100_IMAGE_S, V100_GFLOP_S = 2.06e-3, 8.53e-5
V100_BANDWIDTH = 900.0
LEAST_STEP_S = 0.05  # of a batch
BETWEEN_EPOCHS_S = 0.5
GPU_START_S = 10.0  # before the first epoch
BANDWIDTH_GB_S: dict[str, float] = {
    "t4": 320.0,
    "l4": 300.0,
    "a10": 600.0,
    "v100": V100_BANDWIDTH,
    "rtx-3090": 936.0,
    "rtx-4090": 1008.0,
    "rtx-5070ti": 896.0,
    "a100": 1555.0,
    "h100": 3350.0,
    "h200": 4800.0,
}


# Of the smallest model of that name, from the makers' data sheets as remembered: not checked against them here.
MEMORY_GB: dict[str, int] = {
    "t4": 16,
    "l4": 24,
    "a10": 24,
    "v100": 16,
    "rtx-3090": 24,
    "rtx-4090": 24,
    "rtx-5070ti": 16,
    "a100": 40,
    "h100": 80,
    "h200": 141,
}


def gpu_memory_mb(name: str) -> float | None:
    """Memory of a GPU by name; None where it is not known."""
    known = MEMORY_GB.get(usual_spelling(name))
    return None if known is None else known * 1024.0


def gpu_speed(name: str) -> Speed:
    """The speed of a GPU by name. Raises UsageError for one that is not known."""
    wanted = usual_spelling(name)
    bandwidth = BANDWIDTH_GB_S.get(wanted)
    if bandwidth is None:
        raise UsageError(
            f"How fast a GPU {name!r} trains is not known here.",
            remedy=f"Choose {', '.join(BANDWIDTH_GB_S)}, or leave --gpu out: the runs of this machine then say.",
        )
    share = V100_BANDWIDTH / bandwidth
    return Speed(
        factor=1.0,
        num_runs=0,
        hardware=f"{wanted}, estimated from published training times on a V100",
        image_s=V100_IMAGE_S * share,
        gflop_s=V100_GFLOP_S * share,
        least_step_s=LEAST_STEP_S,
        between_epochs_s=BETWEEN_EPOCHS_S,
        start_s=GPU_START_S,
        known_by=f"estimated for {wanted} from published training times, not timed here",
    )


def speed_before_runs(environment: Environment) -> Speed:
    """The speed of hardware on which nothing was timed yet: that of a known GPU, of a V100 or of a processor."""
    if not environment.device.startswith("cuda"):
        return ROUGH
    known = _named_by_driver(environment.hardware)
    if known is not None:
        return gpu_speed(known)
    unknown = "estimated from published training times as if it were a V100, not timed here"
    return replace(gpu_speed("v100"), known_by=unknown)


def _named_by_driver(hardware: str) -> str | None:
    """The GPU of the table that a driver's name means: "NVIDIA GeForce RTX 5070 Ti" is "rtx-5070ti".

    None for one that is not known, as a laptop's is: slower than the card whose number it bears.
    """
    words = f"-{re.sub('[^a-z0-9]+', '-', hardware.casefold())}-".replace("-ti-", "ti-")
    if "-laptop-" in words:
        return None
    return next((name for name in BANDWIDTH_GB_S if f"-{name}-" in words), None)
