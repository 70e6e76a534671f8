"""The score of a checkpoint on the target before any training."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any


def starting_score(trainer: Any, known_classes: Sequence[int]) -> float | None:
    """Mean AP50-95 of the transferred, untrained model over the target's classes it knows by name.

    None when it knows none of those that occur in the val images. The random rows of the other classes
    are silenced, so that they take no detections away. Leaves the trainer's model and random state alone.
    """
    if not known_classes:
        return None
    import torch
    from ultralytics.utils import RANK  # with its safety switches set by now: a trainer is there

    model = deepcopy(trainer.bare_model).to(trainer.device).float().eval()
    head = model.model[-1]
    trainer.family.silence(head, [index for index in range(head.nc) if index not in set(known_classes)])
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
    box = validator.metrics.box
    by_class = {int(index): float(ap) for index, ap in zip(box.ap_class_index, box.ap, strict=True)}
    scores = [by_class[index] for index in known_classes if index in by_class]
    return sum(scores) / len(scores) if scores else None


def detection_metrics(box: Any) -> tuple[float, dict[str, float]]:
    """Score and details (`recommender.tasks`) of ultralytics' box metrics."""
    details = {"map50": box.map50, "map75": box.map75, "precision": box.mp, "recall": box.mr}
    return float(box.map), {name: float(value) for name, value in details.items()}
