"""Files that ultralytics users expect of a finished training: weights/best.pt, results.png, beside what is there."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from recommender.records import Checkpoint
from tune_jobs.training import TrainingJob
from tune_jobs.training.job import BEST_WEIGHTS
from tune_jobs.training.table import RESULTS_TABLE

WEIGHTS_FOLDER = "weights"


def write_artefacts(job: TrainingJob) -> None:
    """Complete the output folder of a finished run: `weights/best.safetensors`, `weights/best.pt`, `results.png`."""
    from recommender.checkpoints import export_pt

    folder = job.output / WEIGHTS_FOLDER
    folder.mkdir(exist_ok=True)
    best = (job.output / BEST_WEIGHTS).replace(folder / BEST_WEIGHTS)
    export_pt(_checkpoint(job, best), folder / "best.pt", overwrite=True)
    draw_curves(job.output / RESULTS_TABLE)


def draw_curves(table: Path) -> None:
    """results.png beside results.csv, drawn by ultralytics itself."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    from ultralytics.utils.plotting import plot_results

    plot_results(file=table)


def _checkpoint(job: TrainingJob, file: Path) -> Checkpoint:
    from safetensors import safe_open

    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    with safe_open(file, framework="np") as weights:
        class_names = tuple(json.loads(weights.metadata()["class_names"]))
    return Checkpoint(
        name=job.target_name,
        origin="registry",
        architecture=job.architecture,
        family="",
        task=job.task,
        class_names=class_names,
        train_imgsz=job.recipe.imgsz,
        sha256=sha256,
        path=file,
    )
