"""Rough speed of trainings on GPUs: from published training times on a V100, scaled by memory bandwidth.

ultralytics/yolov5's README: YOLOv5n/s/m/l/x take 1/2/4/6/8 days on a V100 for 300 epochs of COCO's 118,287 images, so
2.1 ms an image and .085 ms for every 10^9 operations. Other GPUs are taken to differ as their memory's bandwidth does
(their makers' data sheets, not checked against them here): such networks train at the pace of the memory. None of it
was timed by us; the runs of a machine's own history say more about that machine.
"""

from __future__ import annotations

from recommender.costs.devices import usual_spelling
from recommender.costs.training_time import Speed
from recommender.errors import UsageError

V100_IMAGE_S, V100_GFLOP_S = 2.06e-3, 8.53e-5
V100_BANDWIDTH = 900.0
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
    return Speed(
        factor=V100_BANDWIDTH / bandwidth,
        num_runs=0,
        hardware=f"{wanted}, estimated from published training times on a V100",
        image_s=V100_IMAGE_S,
        gflop_s=V100_GFLOP_S,
    )
