"""The one network that random weights train, wherever a start from scratch is compared with others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recommender.checkpoints.registry import all_checkpoints
from recommender.records import Checkpoint

if TYPE_CHECKING:
    from recommender.store import Store

DEFAULT_ARCHITECTURE = "yolo11n"  # where there is no other start to compare with


def scratch_architecture(checkpoints: Iterable[Checkpoint]) -> str:
    """The architecture that most of these checkpoints have, so that scratch is compared with its like.

    Of two that are as common, the first by name; `DEFAULT_ARCHITECTURE` where there is no checkpoint.
    """
    counts = Counter({checkpoint.name: checkpoint.architecture for checkpoint in checkpoints}.values())
    return min(counts, key=lambda name: (-counts[name], name), default=DEFAULT_ARCHITECTURE)


def checkpoints_at_hand(store: Store) -> tuple[Checkpoint, ...]:
    """Those whose weights are on this machine and that were added to stay: the starts of a question without names."""
    return tuple(found for found in all_checkpoints(store) if found.available and found.kept)
