"""The files ultralytics users expect beside a full run's weights: results.csv, row by row, and args.yaml."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recommender.atomic_files import replacing

RESULTS_TABLE = "results.csv"
ARGUMENTS = "args.yaml"


def keep_epoch(trainer: Any, metrics: Mapping[str, float]) -> None:
    """Add the epoch to results.csv in the job's output folder, in ultralytics' own columns."""
    output: Path = trainer.job.output
    arguments = Path(trainer.save_dir) / ARGUMENTS
    if arguments.exists():
        shutil.copyfile(arguments, output / ARGUMENTS)
    append_row(output / RESULTS_TABLE, trainer.epoch + 1, trainer.seconds(), metrics)


def append_row(table: Path, epoch: int, seconds: float, metrics: Mapping[str, float]) -> None:
    """Add a row; rows of this epoch and later ones, from before a crash, give way. Written whole or not at all."""
    lines = table.read_text("utf-8").splitlines() if table.exists() else []
    kept = [line for line in lines[1:] if int(line.split(",", 1)[0]) < epoch]
    header = ",".join(("epoch", "time", *metrics))
    row = ",".join((str(epoch), f"{seconds:.6g}", *(f"{float(value):.6g}" for value in metrics.values())))
    with replacing(table) as part:
        part.write_text("\n".join((header, *kept, row)) + "\n", encoding="utf-8")
