"""The plain ultralytics command that does what a recommendation says."""

from __future__ import annotations

import shlex

from recommender.checkpoints import backbone_length
from recommender.forecast.situation import Situation
from recommender.records import Checkpoint, Dataset

SCRATCH_ARCHITECTURE = "yolo11n"  # what scratch trains when no checkpoint says otherwise


def yolo_command(situation: Situation, dataset: Dataset, given: str) -> str:
    """`yolo detect train …` for a start, letter by letter runnable.

    `given` is the path the user named. What ultralytics cannot read as it lies (our safetensors, another data set
    format) is first exported by our own commands in the same line.
    """
    checkpoint, budget = situation.checkpoint, situation.budget
    data, first_data = _data(dataset, given)
    model, first_model = _model(checkpoint)
    words = ["yolo", "detect", "train", f"model={model}", f"data={data}"]
    words += [f"epochs={budget.epochs}", f"imgsz={budget.imgsz}"]
    if checkpoint is None:
        words.append("pretrained=False")
    elif situation.start.mode == "freeze":
        words.append(f"freeze={backbone_length(checkpoint.architecture)}")
    return first_data + first_model + shlex.join(words)


def _model(checkpoint: Checkpoint | None) -> tuple[str, str]:
    if checkpoint is None:
        return f"{SCRATCH_ARCHITECTURE}.yaml", ""
    file = f"{checkpoint.name}.pt"
    return file, shlex.join(["recommend", "checkpoints", "export", checkpoint.name, file]) + " && "


def _data(dataset: Dataset, given: str) -> tuple[str, str]:
    """The data.yaml to name, and the command that makes it where there is none."""
    if dataset.config is not None:
        return str(dataset.config), ""
    folder = f"{dataset.name}-yolo"
    return f"{folder}/data.yaml", shlex.join(["recommend", "datasets", "export", given, folder]) + " && "
