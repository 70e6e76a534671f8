"""Ultralytics' validators, chosen by family, and the score of each class that one has counted."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from recommender.families.row import ModelFamily
from recommender.tasks import Task


def validator_class(family: ModelFamily) -> Any:
    """The validator of ultralytics that reads the output of this family's head."""
    module, name = family.validator
    return getattr(importlib.import_module(module), name)


def scores_by_class(task: Task, validator: Any) -> dict[int, float]:
    """The score of each class that occurs, by its number: AP50-95 of boxes or masks, or the share of right images."""
    if task == "classify":
        return _accuracy_by_class(validator.pred, validator.targets)
    found = validator.metrics.seg if task == "segment" else validator.metrics.box
    return {int(index): float(ap) for index, ap in zip(found.ap_class_index, found.ap, strict=True)}


def _accuracy_by_class(predicted: Sequence[Any], targets: Sequence[Any]) -> dict[int, float]:
    """The share of each class that its first guess finds, of batches of guesses (N, at most 5) and classes (N,)."""
    import torch

    first_N, target_N = torch.cat(list(predicted))[:, 0], torch.cat(list(targets))
    return {
        int(index): float((first_N[target_N == index] == index).float().mean())
        for index in sorted(set(target_N.tolist()))
    }
