"""The score of a checkpoint on the target before any training."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from recommender.families.ultralytics.validation import scores_by_class
from recommender.tasks import Task


def starting_score(trainer: Any, known_classes: Sequence[int]) -> float | None:
    """Mean over the target's classes that the transferred, untrained model knows by name: of box AP50-95, mask AP50-95
    or the share of images put in their class.

    None when it knows none of those that occur in the val images, of classification fewer than two. The random rows of
    the other classes are silenced, so that they take no detections away. Leaves the trainer's model and random state
    alone.
    """
    if len(known_classes) < (2 if trainer.family.task == "classify" else 1):
        return None  # told apart from nothing, one class is always right
    import torch
    from ultralytics.utils import RANK  # with its safety switches set by now: a trainer is there

    model = deepcopy(trainer.bare_model).to(trainer.device).float().eval()
    head = model.model[-1]
    unknown = set(range(trainer.data["nc"])) - set(known_classes)
    trainer.family.silence(head, sorted(unknown))
    validator = trainer.get_validator()
    validator.device, validator.data, validator.training = trainer.device, trainer.data, True
    validator.args.quantize = None
    validator.init_metrics(model)
    with torch.inference_mode():
        for batch in validator.dataloader:
            batch = validator.preprocess(batch)
            validator.update_metrics(validator.postprocess(model(batch["img"])), batch)
    validator.gather_stats()  # of the team, where there is one
    if RANK > 0:
        return None
    validator.get_stats()
    by_class = scores_by_class(trainer.family.task, validator)
    scores = [by_class[index] for index in known_classes if index in by_class]
    return sum(scores) / len(scores) if scores else None


def metrics_of(task: Task, metrics: Any) -> tuple[float, dict[str, float]]:
    """Score and details (`recommender.tasks`) of what ultralytics' validator of a task counted."""
    return {"detect": _of_boxes, "segment": _of_masks, "classify": _of_images}[task](metrics)


def _of_boxes(metrics: Any) -> tuple[float, dict[str, float]]:
    box = metrics.box
    details = {"map50": box.map50, "map75": box.map75, "precision": box.mp, "recall": box.mr}
    return float(box.map), {name: float(value) for name, value in details.items()}


def _of_masks(metrics: Any) -> tuple[float, dict[str, float]]:
    box, mask = metrics.box, metrics.seg
    details = {
        "mask_map50": mask.map50,
        "map50_95": box.map,
        "map50": box.map50,
        "precision": mask.mp,
        "recall": mask.mr,
    }
    return float(mask.map), {name: float(value) for name, value in details.items()}


def _of_images(metrics: Any) -> tuple[float, dict[str, float]]:
    return round(float(metrics.top1), 6), {"top5": round(float(metrics.top5), 6)}  # of float32
