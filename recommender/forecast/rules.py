"""What is believed before any run was seen, as one readable table of effects.

Each rule is a feature of a situation with the weight it is believed to have, and how firmly. Weights are on
the arcsine square root scale of mAP50-95, where 0.05 is about 0.05 mAP near mAP 0.4. The history of runs moves
the weights away from the beliefs as far as it speaks against them (see `process.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.forecast.situation import Situation

Matrix = NDArray[np.float64]

UNKNOWN_SIMILARITY = 0.5  # half-way: an unknown source is neither kin nor stranger
LEAK_SHARE = 0.02  # share of target images found in a source from which its likeness earns nothing


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One belief: a feature's weight, its standard deviation, and where it comes from."""

    name: str
    weight: float
    doubt: float
    why: str
    value: Callable[[Situation], float]


def head_start(situation: Situation) -> float:
    """How much pretrained weights still matter, in (0, 1): 1 for few images and epochs, towards 0 at COCO's size.

    He et al. (2018): at 1k COCO images scratch has a third of the pretrained AP, at 10k nearly all of it,
    given several times the schedule. Images × epochs is what both kinds of patience buy.
    """
    seen = max(situation.num_train_images, 1) * max(situation.budget.epochs, 1)
    return 1.0 / (1.0 + math.exp(1.3 * (math.log10(seen) - 5.3)))


def leaks(situation: Situation) -> bool:
    """Whether the source holds so many of the target's images that its scores flatter it."""
    return (situation.evidence.source_images_seen or 0.0) >= LEAK_SHARE


def similarity(situation: Situation) -> float:
    """Likeness of source and target, the unknown counted half-way, and a leak as a stranger."""
    if leaks(situation):
        return 0.0
    value = situation.evidence.similarity
    return UNKNOWN_SIMILARITY if value is None else max(-1.0, min(1.0, value))


def _pretrained(situation: Situation) -> float:
    return 0.0 if situation.checkpoint is None else head_start(situation)


def _frozen(situation: Situation) -> float:
    return 1.0 if situation.start.mode == "freeze" else 0.0


def _log_images(situation: Situation) -> float:
    return math.log10(max(situation.num_train_images, 1) / 200)


def _log_epochs(situation: Situation) -> float:
    return math.log10(max(situation.budget.epochs, 1) / 50)


def _log_object_pixels(situation: Situation) -> float:
    """log2 of the median box side in pixels at the training size, relative to 32, held within ±4."""
    median = situation.target.box_sizes_Q[2] if situation.target.box_sizes_Q else 0.0
    pixels = max(median * situation.budget.imgsz, 1.0)
    return max(-4.0, min(4.0, math.log2(pixels / 32)))


def _source_size(situation: Situation) -> float:
    images = situation.checkpoint.source_images if situation.checkpoint else None
    return 0.0 if not images else _pretrained(situation) * (math.log10(images / 3000) / 2)


def _narrow(situation: Situation) -> float:
    """1 for features learnt from nothing but some hundred images, 0 for those from a hundred thousand."""
    checkpoint = situation.checkpoint
    if checkpoint is None or not checkpoint.from_scratch:
        return 0.0
    lacking = (5.0 - math.log10(max(checkpoint.source_images or 1, 1))) / 2.5
    return head_start(situation) * max(0.0, min(1.0, lacking))


def _source_quality(situation: Situation) -> float:
    quality = situation.checkpoint.source_score if situation.checkpoint else None
    return 0.0 if quality is None else _pretrained(situation) * (quality - 0.4)


def _missing_backbone(situation: Situation) -> float:
    share = situation.evidence.backbone_transferred
    missing = 0.0 if share is None or situation.checkpoint is None else 1.0 - share
    return missing * head_start(situation)


def _overlap(situation: Situation) -> float:
    return 0.0 if leaks(situation) else _pretrained(situation) * (situation.evidence.class_overlap or 0.0)


def _box_shift(situation: Situation) -> float:
    return _pretrained(situation) * min(situation.evidence.box_size_shift or 0.0, 4.0)


RULES: tuple[Rule, ...] = (
    Rule(name="level", weight=0.62, doubt=0.2, why="a middling detector", value=lambda s: 1.0),
    Rule(name="images", weight=0.10, doubt=0.06, why="more data, better", value=_log_images),
    Rule(name="epochs", weight=0.10, doubt=0.06, why="more epochs, better", value=_log_epochs),
    Rule(name="object_pixels", weight=0.06, doubt=0.04, why="small objects are hard", value=_log_object_pixels),
    Rule(name="scratch", weight=-0.50, doubt=0.15, why="He et al. 2018, figure 'less data'",
         value=lambda s: head_start(s) if s.checkpoint is None else 0.0),
    Rule(name="missing_backbone", weight=-0.45, doubt=0.15, why="what does not transfer is random",
         value=_missing_backbone),
    Rule(name="similarity", weight=0.16, doubt=0.08, why="image domain matters most (Mensink 2021)",
         value=lambda s: _pretrained(s) * (similarity(s) - UNKNOWN_SIMILARITY)),
    Rule(name="source_size", weight=0.07, doubt=0.04, why="a broad source costs little (Mensink 2021)",
         value=_source_size),
    Rule(name="narrow", weight=-0.30, doubt=0.10, why="He et al. 2018: few images alone teach few features",
         value=_narrow),
    Rule(name="source_quality", weight=0.03, doubt=0.04, why="a poor detector learnt little", value=_source_quality),
    Rule(name="class_overlap", weight=0.04, doubt=0.04, why="known classes keep their head rows", value=_overlap),
    Rule(name="box_shift", weight=-0.01, doubt=0.01, why="other sizes use other pyramid levels", value=_box_shift),
    Rule(name="freeze", weight=-0.12, doubt=0.08, why="one study .906 full against .511 frozen", value=_frozen),
    Rule(name="freeze_similarity", weight=0.12, doubt=0.08, why="a kindred backbone may stay as it is",
         value=lambda s: _frozen(s) * (similarity(s) - UNKNOWN_SIMILARITY)),
    Rule(name="freeze_images", weight=-0.06, doubt=0.05, why="much data can move a backbone safely",
         value=lambda s: _frozen(s) * _log_images(s)),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ScoreRule:
    """A transferability score, comparable only among the starts of one target, hence taken as a z-score."""

    name: str
    weight: float
    doubt: float


SCORE_RULES: tuple[ScoreRule, ...] = (
    ScoreRule(name="knn_accuracy", weight=0.010, doubt=0.02),
    ScoreRule(name="logme_classes", weight=0.005, doubt=0.02),
    ScoreRule(name="logme_boxes", weight=0.005, doubt=0.02),
    ScoreRule(name="h_score", weight=0.005, doubt=0.02),
)


def beliefs() -> tuple[Matrix, Matrix]:
    """Weights and their standard deviations, in the order of `features`."""
    weights = [rule.weight for rule in RULES] + [rule.weight for rule in SCORE_RULES]
    doubts = [rule.doubt for rule in RULES] + [rule.doubt for rule in SCORE_RULES]
    return np.asarray(weights, dtype=np.float64), np.asarray(doubts, dtype=np.float64)


def features(situations: Sequence[Situation]) -> Matrix:
    """One row per situation: the rules, then the z-scored transferability scores."""
    rows = np.array([[rule.value(s) for rule in RULES] for s in situations], dtype=np.float64)
    rows = rows.reshape(len(situations), len(RULES))
    return np.hstack([rows, _scores(situations)])


def _scores(situations: Sequence[Situation]) -> Matrix:
    """z-scores among the distinct checkpoints of each target; 0 where nothing was measured."""
    columns = np.zeros((len(situations), len(SCORE_RULES)))
    by_target: dict[str, list[int]] = {}
    for i, situation in enumerate(situations):
        by_target.setdefault(situation.target.dataset_hash, []).append(i)
    for column, rule in enumerate(SCORE_RULES):
        for rows in by_target.values():
            scores = {
                situations[i].start.checkpoint: getattr(situations[i].evidence, rule.name) for i in rows
            }
            known = np.array([v for v in scores.values() if v is not None and math.isfinite(v)])
            if len(known) < 3 or known.std() < 1e-12:
                continue
            for i in rows:
                value = scores[situations[i].start.checkpoint]
                if value is not None and math.isfinite(value):
                    z = max(-2.5, min(2.5, (value - known.mean()) / known.std()))
                    z = min(z, 0.0) if leaks(situations[i]) else z
                    columns[i, column] = z * head_start(situations[i])
    return columns
