"""A drawn data set and jobs on it from the built-in COCO checkpoint: five epochs of seconds that do learn."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import recommender
from recommender.datasets import export_yolo, open_dataset
from recommender.records import EpochMetrics, Recipe, Start
from tests.datagen import make_dataset
from tune_jobs.training import TrainingJob

ARCHITECTURE = "yolo11n"
ZOO = Path(recommender.__file__).parent / "checkpoints" / "zoo"
COCO = ZOO / "coco-yolo11n.safetensors"
COCO_CLASSES = tuple(json.loads(COCO.with_suffix(".json").read_text("utf-8"))["class_names"])


def tree_hash(folder: Path) -> str:
    """Of every path and every byte below a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(str(path.relative_to(folder)).encode())
        total.update(path.read_bytes() if path.is_file() else b"")
    return total.hexdigest()


def make_export(folder: Path) -> Path:
    """A drawn data set, exported as the training wants it."""
    dataset = open_dataset(make_dataset(folder / "user", images=16, size=(96, 96), seed=3))
    return export_yolo(dataset, folder / "export").parent


def make_job(data: Path, output: Path, *, mode: str = "full", **changes: Any) -> TrainingJob:
    """A job of three epochs at 96 pixels; keywords of the recipe or of the job change it."""
    names = Recipe.__dataclass_fields__
    recipe = {"epochs": 3, "imgsz": 96, "batch": 4, "learning_rate": 5e-3} | {
        k: v for k, v in changes.items() if k in names
    }
    rest = {k: v for k, v in changes.items() if k not in names}
    scratch = mode == "scratch"
    start = Start(checkpoint="scratch" if scratch else "coco", mode=mode)  # type: ignore[arg-type]
    arguments: dict[str, Any] = {
        "data": data,
        "output": output,
        "start": start,
        "architecture": ARCHITECTURE,
        "recipe": Recipe(**recipe),
        "kind": "trial",
        "target_hash": "t" * 64,
        "target_name": "drawn",
        "weights": None if scratch else COCO,
        "class_names": None if scratch else COCO_CLASSES,
    }
    return TrainingJob(**(arguments | rest))


def untimed(curve: tuple[EpochMetrics, ...]) -> list[EpochMetrics]:
    """A curve without its times, which no two runs share."""
    return [replace(point, seconds=0.0) for point in curve]
