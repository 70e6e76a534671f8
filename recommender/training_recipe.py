"""A recipe as ultralytics' arguments: the same for trials, full trainings and the printed command."""

from __future__ import annotations

from recommender.records import Mode, Recipe
from recommender.requests import TrainingRequest
from recommender.starts import DEPTHS_OF_MODE

BESIDE_MODES = frozenset(depth for depths in DEPTHS_OF_MODE.values() for depth in depths[1:])
NOMINAL_BATCH = 16  # smaller batches accumulate up to it

# Measured on mask_wearing, see benchmarks/truth/README.md. Adam-like optimisers share one row.
LEARNING_RATES: dict[str, dict[Mode, float]] = {
    "adamw": {"full": 1e-3, "freeze": 2e-3, "scratch": 2e-3},
    "sgd": {"full": 1e-2, "freeze": 1e-2, "scratch": 1e-2},
}
OPTIMIZERS: dict[str, str] = {
    "adamw": "adamw",
    "adam": "adamw",
    "nadam": "adamw",
    "radam": "adamw",
    "sgd": "sgd",
}


def recipe_of(request: TrainingRequest) -> Recipe:
    """The part of a request that says how to train."""
    return Recipe(
        epochs=request.epochs,
        imgsz=request.imgsz,
        batch=request.batch,
        optimizer=request.optimizer,
        learning_rate=request.learning_rate,
        patience=request.patience or None,
        seed=request.seed,
        class_map=tuple(sorted(request.class_map.items())),
        freeze=request.freeze if request.freeze in BESIDE_MODES else None,
    )


def learning_rate(recipe: Recipe, mode: Mode, *, factor: float = 1.0) -> float:
    """The recipe's own rate, or the default of its optimiser and the mode, times the model family's factor."""
    if recipe.learning_rate is not None:
        return recipe.learning_rate
    return LEARNING_RATES[OPTIMIZERS[recipe.optimizer.lower()]][mode] * factor


def ultralytics_arguments(recipe: Recipe, mode: Mode, *, factor: float = 1.0) -> dict[str, float | int | str]:
    """Every ultralytics training argument that the recipe fixes; the others are left at their defaults.

    Freezing and the weights are not among them: they belong to the start. `factor` is the model family's, on the
    default learning rate.
    """
    epochs = recipe.schedule_epochs or recipe.epochs
    adam = recipe.optimizer.lower() != "sgd"
    return {
        "epochs": epochs,
        "imgsz": recipe.imgsz,
        "batch": recipe.batch,
        "optimizer": recipe.optimizer,
        "lr0": learning_rate(recipe, mode, factor=factor),
        "momentum": 0.9 if adam else 0.937,  # 0.9 is what ultralytics takes for AdamW under "auto"
        "warmup_epochs": min(3.0, 0.2 * epochs),
        # 0.1 is an SGD value: AdamW would move each bias by 0.1 a step.
        "warmup_bias_lr": 0.0 if adam else 0.1,
        "nbs": max(NOMINAL_BATCH, recipe.batch),  # 64 leaves small sets with two optimiser steps an epoch
        "close_mosaic": min(10, epochs // 2),
        "patience": recipe.patience or 0,
        "seed": recipe.seed,
        **({"multi_scale": recipe.multi_scale} if recipe.multi_scale else {}),
    }
