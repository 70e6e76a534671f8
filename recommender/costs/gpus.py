"""Rough speed of trainings on GPUs: from published training times on a V100, scaled by memory bandwidth.

ultralytics/yolov5's README: YOLOv5n/s/m/l/x take 1/2/4/6/8 days on a V100 for 300 epochs of COCO's 118,287 images, so
2.1 ms an image and .085 ms for every 10^9 operations. Other GPUs are taken to differ as their memory's bandwidth does:
such networks train at the pace of the memory.

No GPU is faster than the processor that feeds it. One was timed, an NVIDIA H200 with 16 processor cores and four
processes that load data: YOLO11n in batches of 16, 160 images and 60 for validation, took .95, 1.03 and 1.23 s an epoch
at 160, 320 and 640 px (`python -m benchmarks.gpu_epochs`), where memory alone asked for .02 to .1 s. The runs of a
machine's own history say more about that machine.
"""

from __future__ import annotations

from dataclasses import replace

from recommender.costs.devices import known_name, memory_gb, near_names
from recommender.costs.training_time import ROUGH, Speed
from recommender.errors import UsageError
from recommender.records import Environment

V100_IMAGE_S, V100_GFLOP_S = 2.06e-3, 8.53e-5
V100_BANDWIDTH = 900.0
LEAST_STEP_S = 0.05  # of a batch
BETWEEN_EPOCHS_S = 0.5
GPU_START_S = 10.0  # before the first epoch
# GB/s, and GB of the smallest model of that name, looked up on 26 November 2026 with makers or those who quote them.
# Those without a slot or memory in their names: the A100's are of 40 GB, the H100's of SXM, the RTX 3060's of 12 GB.
BANDWIDTH_AND_MEMORY: dict[str, tuple[float, int]] = {
    "t4": (320, 16),
    "l4": (300, 24),
    "a10": (600, 24),
    "a10g": (600, 24),
    "a40": (696, 48),
    "l40": (864, 48),
    "l40s": (864, 48),
    "v100": (V100_BANDWIDTH, 16),
    "v100s": (1134, 32),
    "a30": (933, 24),
    "a100": (1555, 40),
    "a100-80gb": (1935, 80),
    "h100": (3350, 80),
    "h100-pcie": (2000, 80),
    "h100-nvl": (3938, 94),
    "h200": (4800, 141),
    "b200": (8000, 180),
    "mi300x": (5300, 192),
    "rtx-a4000": (448, 16),
    "rtx-a5000": (768, 24),
    "rtx-a6000": (768, 48),
    "rtx-6000-ada": (960, 48),
    "rtx-2080ti": (616, 11),
    "rtx-3060": (360, 12),
    "rtx-3060ti": (448, 8),
    "rtx-3070": (448, 8),
    "rtx-3070ti": (608, 8),
    "rtx-3080": (760, 10),
    "rtx-3080-12gb": (912, 12),
    "rtx-3080ti": (912, 12),
    "rtx-3090": (936, 24),
    "rtx-3090ti": (1008, 24),
    "rtx-4060": (272, 8),
    "rtx-4060ti": (288, 8),
    "rtx-4070": (504, 12),
    "rtx-4070-super": (504, 12),
    "rtx-4070ti": (504, 12),
    "rtx-4070ti-super": (672, 16),
    "rtx-4080": (717, 16),
    "rtx-4080-super": (736, 16),
    "rtx-4090": (1008, 24),
    "rtx-5050": (320, 8),
    "rtx-5060": (448, 8),
    "rtx-5060ti": (448, 8),
    "rtx-5070": (672, 12),
    "rtx-5070ti": (896, 16),
    "rtx-5080": (960, 16),
    "rtx-5090": (1792, 32),
    "rtx-4050-laptop": (192, 6),
    "rtx-4060-laptop": (256, 8),
    "rtx-4070-laptop": (256, 8),
    "rtx-4080-laptop": (432, 12),
    "rtx-4090-laptop": (576, 16),
    "rtx-5050-laptop": (384, 8),
    "rtx-5060-laptop": (384, 8),
    "rtx-5070-laptop": (384, 8),
    "rtx-5070ti-laptop": (672, 12),
    "rtx-5080-laptop": (896, 16),
    "rtx-5090-laptop": (896, 24),
}


def gpu_memory_mb(name: str) -> float | None:
    """Memory of a GPU by name, "A100-SXM4-80GB" has 80 GB; None where it is not known."""
    known, said = known_name(name, BANDWIDTH_AND_MEMORY), memory_gb(name)
    return None if known is None else 1024.0 * (said or BANDWIDTH_AND_MEMORY[known][1])


def gpu_speed(name: str) -> Speed:
    """The speed of a GPU by name. Raises UsageError for one that is not known."""
    known = known_name(name, BANDWIDTH_AND_MEMORY)
    if known is None:
        close = " or ".join(near_names(name, BANDWIDTH_AND_MEMORY))
        choice = (
            f"Did you mean {close}? `recommend devices` lists all"
            if close
            else f"Choose {', '.join(BANDWIDTH_AND_MEMORY)}"
        )
        raise UsageError(
            f"How fast a GPU {name!r} trains is not known here.",
            remedy=f"{choice}; or leave --gpu out: the runs of this machine then say.",
        )
    share = V100_BANDWIDTH / BANDWIDTH_AND_MEMORY[known][0]
    return Speed(
        factor=1.0,
        num_runs=0,
        hardware=f"{known}, estimated from published training times on a V100",
        image_s=V100_IMAGE_S * share,
        gflop_s=V100_GFLOP_S * share,
        least_step_s=LEAST_STEP_S,
        between_epochs_s=BETWEEN_EPOCHS_S,
        start_s=GPU_START_S,
        known_by=f"estimated for {known} from published training times, not timed here",
    )


def speed_before_runs(environment: Environment) -> Speed:
    """The speed of hardware on which nothing was timed yet: that of a known GPU, of a V100 or of a processor."""
    if not environment.device.startswith("cuda"):
        return ROUGH
    known = known_name(environment.hardware, BANDWIDTH_AND_MEMORY)
    if known is not None:
        return gpu_speed(known)
    unknown = "estimated from published training times as if it were a V100"
    hardware = f"{environment.hardware}, {unknown}"
    return replace(gpu_speed("v100"), hardware=hardware, known_by=f"{unknown}, not timed here")
