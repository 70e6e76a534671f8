"""Peak memory of a training, estimated from its architecture.

Weights, gradients, AdamW's two moments and the averaged copy of the weights take 20 bytes a parameter; what the layers
put out is kept for the backward pass, 2 bytes an element in mixed precision, else 4. `training_memory.json` holds both
counts (`python -m benchmarks.training_memory`, which also checks the estimate on a processor). The framework and the
GPU's driver take about `FRAMEWORK_MB` beside it.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

FILE = Path(__file__).parent / "devices" / "training_memory.json"
SIZE = 640  # pixels, at which outputs are counted
BYTES_PER_PARAMETER = 20
FRAMEWORK_MB = 700.0


def training_memory_mb(
    architecture: str, imgsz: int, batch: int, *, mixed_precision: bool = True
) -> float | None:
    """The peak memory of one training process, without the framework's own; None where the architecture is not known.

    A frozen backbone needs less: this is what training all layers takes.
    """
    known = _table().get(architecture)
    if known is None:
        return None
    outputs = known["outputs_m"] * batch * (imgsz / SIZE) ** 2
    return (
        (known["parameters_m"] * BYTES_PER_PARAMETER + outputs * (2 if mixed_precision else 4)) * 1e6 / 2**20
    )


def largest_batch(architecture: str, imgsz: int, memory_mb: float, *, mixed_precision: bool = True) -> int:
    """The largest batch, a power of two, whose training fits into so much memory; 0 where none does."""
    batch, fits = 1, 0
    while batch <= 1024:
        need = training_memory_mb(architecture, imgsz, batch, mixed_precision=mixed_precision)
        if need is None or need + FRAMEWORK_MB > memory_mb:
            break
        batch, fits = 2 * batch, batch
    return fits


@functools.cache
def _table() -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = json.loads(FILE.read_text(encoding="utf-8"))
    return table
