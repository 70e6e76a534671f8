"""One planned run, and what the plans of all tasks share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recommender.records import SCRATCH, Mode, Recipe
from recommender.tasks import Task

BASE = Recipe(epochs=10, imgsz=192)
LONG = Recipe(epochs=60, imgsz=192)  # enough for random weights to learn something
BOTH: tuple[Mode, ...] = ("full", "freeze")
RANDOM_SUFFIX = "_from_random"
# Public weights of other families, by their names in the catalogue.
FAMILIES = ("yolov8n", "yolo26n")
# Checkpoints whose names do not end in "-yolo11n": public ones, then those of the zoo.
NAMES = {
    "imagenet": "imagenet-yolov8n-cls",
    "coco-seg": "coco-yolo11n-seg",
    "clothing": "clothing-yolov8n-cls",
    "sign_digits": "sign_digits-yolov8n-cls",
    "leaf_coffee_seg": "leaf_coffee_seg-yolo11n-seg",
    "fruits_nuts": "fruits_nuts-yolo11n-seg",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One planned run. `source` None is random weights, "coco", NAMES and FAMILIES are public checkpoints."""

    target: str
    source: str | None
    mode: Mode
    recipe: Recipe
    task: Task = "detect"

    @property
    def checkpoint(self) -> str:
        """The start's name as users see it."""
        return SCRATCH if self.source is None else name_of(self.source)


def name_of(source: str) -> str:
    """The name of a source's checkpoint."""
    return source if source in FAMILIES else NAMES.get(source, f"{source}-yolo11n")


def row(
    target: str, mode: Mode, sources: tuple[str, ...], recipe: Recipe, task: Task = "detect"
) -> Iterator[Entry]:
    """An entry for each source."""
    for source in sources:
        yield Entry(target=target, source=source, mode=mode, recipe=recipe, task=task)
