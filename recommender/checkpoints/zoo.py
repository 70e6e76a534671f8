"""The built-in checkpoints: a card and weights each, shipped with the package."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recommender.checkpoints.files import num_parameters, stored_shapes
from recommender.checkpoints.lineage import ancestry
from recommender.errors import StorageError
from recommender.families.ultralytics.architectures import architecture
from recommender.records import Checkpoint
from recommender.tasks import task_definition

FOLDER = Path(__file__).parent / "zoo"


@functools.cache
def zoo() -> tuple[Checkpoint, ...]:
    """Every built-in checkpoint, by name; `benchmarks/build_zoo.py` makes them.

    Raises CheckpointError where the weights of a card are missing, StorageError where there is no card at all.
    """
    cards = {file: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}
    first = {
        card["name"]: _read(file, card, {}) for file, card in cards.items() if "initialised_from" not in card
    }
    found = tuple(first.get(card["name"]) or _read(file, card, first) for file, card in cards.items())
    if not found:
        raise StorageError(
            f"The built-in checkpoints in {FOLDER} are missing.", remedy="Install the package again."
        )
    return found


def _read(file: Path, card: dict[str, Any], parents: Mapping[str, Checkpoint]) -> Checkpoint:
    weights = file.with_suffix(".safetensors")
    task = architecture(card["architecture"]).kind.task
    return Checkpoint(
        name=card["name"],
        origin="zoo",
        architecture=card["architecture"],
        family=architecture(card["architecture"]).family,
        task=task,
        num_parameters=num_parameters(stored_shapes(weights)),
        class_names=tuple(card["class_names"]),
        licence=card["licence"],
        source_name=card["source_name"],
        source_hash=card.get("source_hash"),
        source_licence=card["source_licence"],
        source_images=card.get("source_images"),
        source_score=card.get(task_definition(task).metric.name),
        train_imgsz=card.get("train_imgsz"),
        train_epochs=card.get("train_epochs"),
        sha256=card["sha256"],
        path=weights,
        attribution=card.get("attribution"),
        lineage=ancestry(parents[card["initialised_from"]], "card") if "initialised_from" in card else None,
    )
