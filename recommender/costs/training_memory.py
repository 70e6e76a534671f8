"""Peak memory of a training, estimated from its architecture.

Weights, gradients, AdamW's two moments and the averaged copy of the weights take 20 bytes a parameter, and the copy in
half precision 2 more; what autograd keeps for the backward pass takes 2 bytes an element in mixed precision, else 4.
Families that do not train in mixed precision (RT-DETR) take 4 on a GPU too.
`training_memory.json` holds both counts (`python -m benchmarks.training_memory`). What comes and goes beside them,
`PASSING_MB`, is the mean difference to five published peaks. The driver takes about `FRAMEWORK_MB` besides.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from recommender.families.ultralytics.architectures import mixed_precision

FILE = Path(__file__).parent / "training_memory.json"
SIZE = 640  # pixels, at which outputs are counted
BYTES_PER_PARAMETER = 20
HALF_BYTES = 2  # of the copy of a parameter in half precision
PASSING_MB = 82.0  # for an image of `SIZE` pixels: objects assigned to places in the loss, gradients
FRAMEWORK_MB = 700.0  # of a GPU
# Of a process that trains on a processor: Python, PyTorch, ultralytics and images on their way. The median of 671 runs
# of the ground truth, whose peaks lie 607 to 2,029 MB above the count.
PROGRAM_MB = 1000.0


def training_memory_mb(architecture: str, imgsz: int, batch: int, *, on_gpu: bool = True) -> float | None:
    """The peak memory of one training process, without the framework's own; None where the architecture is not known.

    On a GPU in the precision that its family trains in, on a processor in full. A frozen backbone needs less: this is
    what training all layers takes.
    """
    known = _table().get(architecture)
    if known is None:
        return None
    images = batch * (imgsz / SIZE) ** 2
    element, parameter = (
        (2, BYTES_PER_PARAMETER + HALF_BYTES)
        if on_gpu and mixed_precision(architecture)
        else (4, BYTES_PER_PARAMETER)
    )
    counted = (known["parameters_m"] * parameter + known["outputs_m"] * images * element) * 1e6 / 2**20
    passing = 0.0 if architecture.endswith("-cls") else PASSING_MB * images  # no places, nothing to assign
    return counted + passing


def largest_batch(architecture: str, imgsz: int, memory_mb: float) -> int:
    """The largest batch, a power of two, whose training fits into so much memory of a GPU; 0 where none does."""
    batch, fits = 1, 0
    while batch <= 1024:
        need = training_memory_mb(architecture, imgsz, batch)
        if need is None or need + FRAMEWORK_MB > memory_mb:
            break
        batch, fits = 2 * batch, batch
    return fits


@functools.cache
def _table() -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = json.loads(FILE.read_text(encoding="utf-8"))
    return table
