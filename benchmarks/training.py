"""A training for a benchmark, by the code that users run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recommender.datasets import export_yolo, write_data_yaml
from recommender.records import SCRATCH, Checkpoint, Dataset, Mode, Recipe, Start
from tune_jobs.training import TrainingJob


def job_on(
    dataset: Dataset,
    folder: Path,
    checkpoint: Checkpoint | None,
    recipe: Recipe,
    *,
    output: Path,
    mode: Mode = "full",
    architecture: str = "yolo11n",
    **changes: Any,
) -> TrainingJob:
    """A full training on the data set, exported to `folder`; without a checkpoint from random weights.

    `architecture` is what is trained, with the head of the data set's task; `changes` are other fields of the job.
    """
    export_yolo(dataset, folder)
    write_data_yaml(folder, dataset.class_names, ("train", "val"))
    start = Start(checkpoint=SCRATCH, mode="scratch")
    if checkpoint is not None:
        start = Start(checkpoint=checkpoint.name, mode=mode)
        changes |= {
            "weights": checkpoint.path,
            "weights_sha256": checkpoint.sha256,
            "class_names": checkpoint.class_names,
            "source_hash": checkpoint.source_hash,
        }
    return TrainingJob(
        data=folder,
        output=output,
        start=start,
        architecture=architecture,
        recipe=recipe,
        kind="full",
        target_hash=dataset.content_hash,
        target_name=dataset.name,
        **changes,
    )
