"""Memory of a training step by architecture: what autograd keeps for the backward pass, counted exactly.

`python -m benchmarks.training_memory --write` counts, for every architecture of the catalogue, the elements that one
real training step with its loss keeps for an image of 640 × 640 pixels, and its parameters, and writes
`recommender/costs/training_memory.json`. `--check` prints the estimate beside published peaks on a GPU, and beside
the growth of a process's peak memory in single steps on this processor.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import subprocess
import sys
from typing import Any

from benchmarks.machine import peak_mb
from recommender.checkpoints import build_model, catalogue
from recommender.costs.training_memory import FILE, SIZE, training_memory_mb
from recommender.families.ultralytics.architectures import architecture
from recommender.ultralytics_safety import prepare_ultralytics

CHECKED = tuple(itertools.product(("yolo11n", "yolov8s"), (256, 384), (4, 8)))  # architecture, pixels, batch
STEPS = 3
CLASSES = 20
COUNTED_SIZE, COUNTED_BATCH = 192, 2  # pixels, images: what is kept grows with both
COUNTED_AT = {"rtdetr": 320}  # whose queries do not grow with the image
# Published peaks of trainings, GB, in batches of 16 at 640 px in mixed precision on an A100: the README of MMYOLO's
# YOLOv8 configurations, the mean of its two rows (with and without refined masks).
PUBLISHED_GB = {"yolov8n": 2.65, "yolov8s": 4.0, "yolov8m": 7.1, "yolov8l": 9.45, "yolov8x": 12.3}


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
        names = sorted({entry.architecture for entry in catalogue()})
        table = {}
        for name in names:
            table[name] = count(name)
            print(name, table[name], flush=True)
            gc.collect()  # models refer to themselves: some GB would pile up
        FILE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    if asked.check:
        check()


def count(name: str) -> dict[str, float]:
    """Millions of elements kept for the backward pass for one image of `SIZE` pixels, and millions of parameters.

    Summed exactly, by PyTorch's hooks on saved tensors, in one real training step with its loss.
    """
    import torch

    torch.manual_seed(0)  # what the loss assigns depends on where the objects lie
    size = COUNTED_AT.get(name.split("-")[0], COUNTED_SIZE)
    model, batch = _model(name), _batch(name, size, COUNTED_BATCH)
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that no other takes its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(batch)[0].sum()
    elements = sum(storage.nbytes() for storage in kept.values()) / 4 / COUNTED_BATCH * (SIZE / size) ** 2
    del loss
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"outputs_m": round(elements / 1e6, 2), "parameters_m": round(parameters / 1e6, 3)}


def _model(name: str) -> Any:
    prepare_ultralytics()
    from ultralytics.cfg import get_cfg

    model: Any = build_model(name, CLASSES).train()
    model.args = get_cfg()
    model.nc = CLASSES  # RT-DETR's loss reads it
    return model


def _batch(name: str, imgsz: int, images: int) -> dict[str, Any]:
    """Random images with eight objects each, as the model's loss reads them."""
    import torch

    task = architecture(name).kind.task
    boxes = 8 * images
    return {
        "img": torch.rand(images, 3, imgsz, imgsz),
        "batch_idx": torch.arange(images).repeat_interleave(8).float(),
        "cls": torch.zeros(images, dtype=torch.long) if task == "classify" else torch.zeros(boxes, 1),
        "bboxes": torch.rand(boxes, 4) * 0.3 + 0.2,
        "masks": torch.zeros(images, imgsz // 4, imgsz // 4),
        "sem_masks": torch.zeros(images, imgsz // 8, imgsz // 8),
    }


def peak_of_steps(name: str, imgsz: int, batch: int) -> float:
    """By how many MB this process's peak memory grows in a few training steps; in a fresh process."""
    import torch

    prepare_ultralytics()
    torch.set_num_threads(1)
    before = peak_mb()
    model = _model(name)
    optimizer = torch.optim.AdamW(model.parameters())
    images = _batch(name, imgsz, batch)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(images)[0].sum().backward()
        optimizer.step()
    return peak_mb() - before


def check() -> None:
    """Print estimate and outcome of `PUBLISHED_GB` and of `CHECKED`."""
    for name, published in PUBLISHED_GB.items():
        expected = (training_memory_mb(name, 640, 16) or 0.0) / 1024
        print(
            f"{name}: {expected:.2f} GB estimated, {published:.2f} published, {expected / published - 1:+.0%}"
        )
    print(f"{'architecture':14} {'px':>5} {'batch':>5} {'estimated':>9} {'measured':>9}  ratio")
    for name, imgsz, batch in CHECKED:
        words = [sys.executable, "-m", "benchmarks.training_memory", "--step", name, str(imgsz), str(batch)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        measured = float(done.stdout.strip().splitlines()[-1])
        estimated = training_memory_mb(name, imgsz, batch, on_gpu=False)
        assert estimated is not None
        print(f"{name:14} {imgsz:5} {batch:5} {estimated:9.0f} {measured:9.0f}  {estimated / measured:.2f}")


if __name__ == "__main__":
    main()
