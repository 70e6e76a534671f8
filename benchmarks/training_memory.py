"""Memory of a training step by architecture: what its layers put out, counted without computing anything.

`python -m benchmarks.training_memory --write` counts, for every YOLO detector of the catalogue, the elements
that its layers put out for one image of 640 × 640 pixels (on PyTorch's meta device) and its parameters, and writes
`recommender/devices/training_memory.json`. `--check` trains single steps on this processor, each in a fresh process,
and prints the estimate beside the growth of the process's peak memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from recommender.checkpoints import build_model, catalogue
from recommender.families.ultralytics.backbone import inputs_of
from recommender.families.ultralytics.models import bare_layers
from recommender.training_memory import FILE, SIZE, training_memory_mb
from recommender.ultralytics_safety import prepare_ultralytics

CHECKED = tuple(itertools.product(("yolo11n", "yolov8s"), (256, 384), (4, 8)))  # architecture, pixels, batch
STEPS = 3


def main() -> None:
    """Write the table, or check the estimate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument(
        "--step", nargs=3, metavar=("ARCHITECTURE", "PIXELS", "BATCH"), help=argparse.SUPPRESS
    )
    asked = parser.parse_args()
    if asked.step:
        print(peak_of_steps(asked.step[0], int(asked.step[1]), int(asked.step[2])))
    if asked.write:
        detectors = {entry.architecture for entry in catalogue() if entry.task == "detect"}
        names = sorted(
            name for name in detectors if not name.startswith("rtdetr")
        )  # these count on real numbers
        table = {}
        for name in names:
            table[name] = count(name)
            print(name, table[name], flush=True)
        FILE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    if asked.check:
        check()


def count(name: str) -> dict[str, float]:
    """Millions of elements that the layers put out, and millions of parameters."""
    import torch

    layers: Any = bare_layers(name, 20).train()
    total = 0

    def add(_module: object, _inputs: object, output: object) -> None:
        nonlocal total
        outputs = output if isinstance(output, (tuple, list)) else [output]
        total += sum(one.numel() for one in outputs if isinstance(one, torch.Tensor))

    for module in layers.modules():
        if not list(module.children()):
            module.register_forward_hook(add)
    outputs: list[Any] = []
    with torch.device("meta"):
        image = torch.empty(2, 3, SIZE, SIZE)  # of one alone batch norm learns nothing
        for layer in layers:
            outputs.append(layer(inputs_of(layer.f, image, outputs)))
    parameters = sum(parameter.numel() for parameter in layers.parameters())
    return {"outputs_m": round(total / 2e6, 2), "parameters_m": round(parameters / 1e6, 3)}


def peak_of_steps(name: str, imgsz: int, batch: int) -> float:
    """By how many MB this process's peak memory grows in a few training steps; in a fresh process."""
    import torch

    prepare_ultralytics()
    from ultralytics.cfg import get_cfg

    torch.set_num_threads(1)
    before = high_water_mb()
    model: Any = build_model(name, 20).train()
    model.args = get_cfg()
    optimizer = torch.optim.AdamW(model.parameters())
    boxes = 8 * batch
    images = {
        "img": torch.rand(batch, 3, imgsz, imgsz),
        "batch_idx": torch.arange(batch).repeat_interleave(8).float(),
        "cls": torch.zeros(boxes, 1),
        "bboxes": torch.rand(boxes, 4) * 0.3 + 0.2,
    }
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(images)[0].sum().backward()
        optimizer.step()
    return high_water_mb() - before


def high_water_mb() -> float:
    """VmHWM of this process."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def check() -> None:
    """Print estimate and outcome of `CHECKED`."""
    print(f"{'architecture':14} {'px':>5} {'batch':>5} {'estimated':>9} {'measured':>9}  ratio")
    for name, imgsz, batch in CHECKED:
        words = [sys.executable, "-m", "benchmarks.training_memory", "--step", name, str(imgsz), str(batch)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        measured = float(done.stdout.strip().splitlines()[-1])
        estimated = training_memory_mb(name, imgsz, batch, mixed_precision=False)
        assert estimated is not None
        print(f"{name:14} {imgsz:5} {batch:5} {estimated:9.0f} {measured:9.0f}  {estimated / measured:.2f}")


if __name__ == "__main__":
    main()
