"""The built-in checkpoints: a card and weights each, shipped with the package."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from recommender.checkpoints.files import num_parameters, stored_shapes
from recommender.errors import StorageError
from recommender.families.ultralytics.architectures import architecture
from recommender.records import Checkpoint

FOLDER = Path(__file__).parent / "zoo"


@functools.cache
def zoo() -> tuple[Checkpoint, ...]:
    """Every built-in checkpoint, by name; `benchmarks/build_zoo.py` makes them.

    Raises CheckpointError where the weights of a card are missing, StorageError where there is no card at all.
    """
    found = tuple(_read(card) for card in sorted(FOLDER.glob("*.json")))
    if not found:
        raise StorageError(
            f"The built-in checkpoints in {FOLDER} are missing.", remedy="Install the package again."
        )
    return found


def _read(file: Path) -> Checkpoint:
    card: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    weights = file.with_suffix(".safetensors")
    return Checkpoint(
        name=card["name"],
        origin="zoo",
        architecture=card["architecture"],
        family=architecture(card["architecture"]).family,
        num_parameters=num_parameters(stored_shapes(weights)),
        class_names=tuple(card["class_names"]),
        licence=card["licence"],
        source_name=card["source_name"],
        source_hash=card.get("source_hash"),
        source_licence=card["source_licence"],
        source_images=card.get("source_images"),
        source_score=card.get("map50_95"),
        train_imgsz=card.get("train_imgsz"),
        train_epochs=card.get("train_epochs"),
        sha256=card["sha256"],
        path=weights,
        attribution=card.get("attribution"),
    )
