"""The trainings that a checkpoint's weights went through before its own.

Said by the user, by the file's own training arguments, by a run of ours, or, where nobody says it, by its early
layers: fine-tuned weights stay near those they began from (`python -m benchmarks.lineage_distance`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from recommender.checkpoints.files import load_state
from recommender.errors import RecommenderError
from recommender.records import Checkpoint, TrainingStep

if TYPE_CHECKING:
    from torch import Tensor

EARLY_LAYERS = 5  # what they see is general, so fine-tuning moves them least
MAX_DISTANCE = 0.5  # measured: at most .04 to what they began from, at least 1 to random weights

ANY_TRAINING = frozenset({"best", "last"})  # every training leaves files of these names

KnownBy = Literal["card", "user", "file", "run", "weights"]


def ancestry(parent: Checkpoint, known_by: KnownBy) -> tuple[TrainingStep, ...]:
    """The trainings behind weights that began from `parent`, its own last."""
    own = TrainingStep(
        source_name=parent.source_name or "unknown data",
        source_images=parent.source_images,
        source_hash=parent.source_hash,
        checkpoint=parent.name,
        sha256=parent.sha256,
        known_by=known_by,
    )
    return (*(parent.lineage or ()), own)


def declared_lineage(
    started_from: str | None, known: Sequence[Checkpoint]
) -> tuple[TrainingStep, ...] | None:
    """The lineage by the name in a file's training arguments: "yolo11n.pt", "yolo11n.yaml" for random weights.

    None where they name nothing known: "last.pt" may be any file.
    """
    if started_from is None:
        return None
    stem, _, ending = started_from.rpartition(".")
    if ending in {"yaml", "yml"}:
        return ()
    parent = next((entry for entry in known if entry.name == stem and stem not in ANY_TRAINING), None)
    return None if parent is None else ancestry(parent, "file")


def nearest_lineage(
    state: Mapping[str, Tensor], architecture: str, known: Sequence[Checkpoint]
) -> tuple[TrainingStep, ...] | None:
    """The lineage by the early layers: of all known checkpoints that are near, the one with the fewest trainings.

    Two fine-tunings of one checkpoint are near each other too, so the nearest may be a sibling; what both began from
    is an ancestor in any case. Registered ones are looked at where no public one is near: there may be thousands, and
    of those that nothing is known of none comes before COCO. None where nothing is near.
    """
    fitting = [entry for entry in known if entry.architecture == architecture and entry.available]
    for registered in (False, True):
        near = _near(state, [entry for entry in fitting if (entry.origin == "registry") == registered])
        if near:
            return ancestry(min(near, key=lambda item: item[:2])[2], "weights")
    return None


def _near(state: Mapping[str, Tensor], known: Sequence[Checkpoint]) -> list[tuple[int, float, Checkpoint]]:
    """The known ones near a state, each after the number of trainings behind it and its distance."""
    near: list[tuple[int, float, Checkpoint]] = []
    for entry in known:
        try:
            apart = distance(state, load_state(entry))
        except RecommenderError:
            continue  # its file is damaged, which its own use will say
        if apart is not None and apart < MAX_DISTANCE:
            near.append((len(entry.lineage or ()), apart, entry))
    return near


def distance(state: Mapping[str, Tensor], parent: Mapping[str, Tensor]) -> float | None:
    """Norm of the difference of the early convolutions, relative to the parent's; None without any in common."""
    apart = size = 0.0
    for key, tensor in parent.items():
        layer = re.match(r"model\.(\d+)\.", key)
        if layer is None or int(layer[1]) >= EARLY_LAYERS or tensor.dim() != 4:
            continue
        if key in state and state[key].shape == tensor.shape:
            apart += float((state[key].float() - tensor.float()).square().sum())
            size += float(tensor.float().square().sum())
    return math.sqrt(apart / size) if size else None


def with_lineage(checkpoint: Checkpoint, started_from: str | None, known: Sequence[Checkpoint]) -> Checkpoint:
    """The checkpoint with what can be found out: equal weights first, then the file's word, then its early layers."""
    if checkpoint.from_scratch:
        return replace(checkpoint, lineage=())
    same = next((entry for entry in known if entry.sha256 and entry.sha256 == checkpoint.sha256), None)
    if same is not None and (same.lineage is not None or same.origin != "registry"):
        # Of the public ones nothing more is to be found: near COCO's weights are those that began from them.
        return replace(checkpoint, lineage=same.lineage)
    found = declared_lineage(started_from, known)
    if found is None:
        others = [entry for entry in known if entry.sha256 != checkpoint.sha256]
        found = nearest_lineage(load_state(checkpoint), checkpoint.architecture, others)
    return replace(checkpoint, lineage=found)
