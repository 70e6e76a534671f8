"""Evidence that needs no network: two profiles, a checkpoint's card, and its tensors' names and shapes."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import replace

from recommender.class_names import overlap
from recommender.errors import RecommenderError
from recommender.profile import Similarity, compare, images_seen
from recommender.records import Checkpoint, Evidence, Profile

logger = logging.getLogger(__name__)


def metadata_evidence(
    target: Profile,
    checkpoint: Checkpoint,
    source: Profile | None,
    *,
    nearest_sources: tuple[str, ...] = (),
    known: Evidence | None = None,
) -> Evidence:
    """The evidence on a checkpoint that needs no image of the target; None is unknown.

    `known` is earlier evidence of the same weights on the same data set: what transfers is taken from it, since
    counting it anew loads ultralytics.
    """
    compared = profile_evidence(target, checkpoint, source)
    whole: float | None
    # The same weights under other class names have other rows of the head in common.
    if (
        known is not None
        and known.weights_transferred is not None
        and known.class_overlap == compared.class_overlap
    ):
        whole, backbone = known.weights_transferred, known.backbone_transferred
    elif checkpoint.origin == "catalogue" and not checkpoint.available:
        whole, backbone = None, 1.0  # its head is counted once it is here; counting builds the network
    else:
        whole, backbone = transferred(checkpoint, target.class_names)
    return replace(
        compared,
        weights_transferred=whole,
        backbone_transferred=backbone,
        nearest_sources=nearest_sources,
    )


def profile_evidence(target: Profile, checkpoint: Checkpoint, source: Profile | None) -> Evidence:
    """The part of it that two profiles and the card tell; nothing of what transfers."""
    found = None if source is None else _similarity(target, source)
    names = checkpoint.class_names or (source.class_names if source is not None else None)
    return Evidence(
        similarity=found.whole if found else None,
        image_similarity=found.image if found else None,
        object_similarity=found.object if found else None,
        class_overlap=class_overlap(target.class_names, names),
        box_size_shift=box_size_shift(target, source) if source is not None else None,
        source_images_seen=None if source is None else _share_seen(target, source),
    )


@functools.lru_cache(maxsize=512)  # dozens of checkpoints share a source
def _similarity(target: Profile, source: Profile) -> Similarity | None:
    return compare(target, source) if source.encoder == target.encoder else None


@functools.lru_cache(maxsize=512)
def _share_seen(target: Profile, source: Profile) -> float:
    return images_seen(target, source).share


def class_overlap(target_names: Sequence[str], source_names: Sequence[str] | None) -> float | None:
    """Share of the target's classes that the source knows, synonyms included; None for unknown names."""
    if not source_names or not target_names:
        return None
    return _overlap(tuple(target_names), tuple(source_names))


@functools.lru_cache(maxsize=512)
def _overlap(target_names: tuple[str, ...], source_names: tuple[str, ...]) -> float:
    return len({match.target for match in overlap(target_names, source_names)}) / len(target_names)


def box_size_shift(target: Profile, source: Profile) -> float | None:
    """Octaves between the median box sizes, relative to their images; None without boxes."""
    if not target.box_sizes_Q or not source.box_sizes_Q:
        return None
    middle = len(target.box_sizes_Q) // 2
    own, other = target.box_sizes_Q[middle], source.box_sizes_Q[middle]
    return abs(math.log2(own / other)) if own > 0 and other > 0 else None


def transferred(checkpoint: Checkpoint, class_names: Sequence[str]) -> tuple[float | None, float | None]:
    """Shares of all parameters and of the backbone's that reach the target's model; None when unknown."""
    from recommender.checkpoints import coverage

    try:
        counted = coverage(checkpoint, None, class_names)
    except RecommenderError as error:  # not fetched yet, or its file is damaged: the start says so itself
        logger.info("no weight transfer known for %s: %s", checkpoint.name, error)
        return None, None
    return counted.share(), counted.share("backbone")
