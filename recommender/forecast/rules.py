"""The prior of the forecast, before any run, as one readable table of effects.

Each rule is a feature of a situation with the weight it is believed to have, and how firmly. Weights are on
the arcsine square root scale of mAP50-95, where 0.05 is about 0.05 mAP near mAP 0.4. The history of runs moves
the weights away from these as far as it speaks against them (see `gaussian_process.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from recommender.evidence import ESTIMATORS, Estimator
from recommender.forecast.budget import (
    distinct_images,
    gain_share,
    images_term,
    masks_to_learn,
    objects_term,
    scratch_images_term,
    scratch_views_term,
    share_to_come,
    views,
    views_term,
)
from recommender.forecast.situation import Situation
from recommender.forecast.size_effects import (
    capacity_difference,
    capacity_term,
    image_size_term,
    other_architecture,
    transfer_term,
)
from recommender.records import Checkpoint, Evidence
from recommender.tasks import Task, task_definition

Matrix = NDArray[np.float64]

UNKNOWN_SIMILARITY = 0.5  # of an unknown source: a little below the mean of the built-in checkpoints
UNKNOWN_IMAGES = 160  # of an unknown source: what domain checkpoints usually have
TRAINED_ON_SHARE = (
    0.5  # share of target images in a source from which on a checkpoint was trained on this very data
)
CLASSIFIER_VIEWS = 2000.0  # views after which full training of a classifier has made up for half of its lag
MIN_SPREAD = 3  # checkpoints with a score, from which on it is told how far scores lie apart
LEAK_SHARE = 0.02  # share of target images found in a source from which its similarity earns nothing


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One prior effect: a feature's mean weight, its standard deviation, and where it comes from."""

    name: str
    weight: float
    sd: float
    why: str
    value: Callable[[Situation], float]
    slope: float = 0.0  # standard deviation of the weight from target to target


def head_start(situation: Situation) -> float:
    """The weight of pretraining, in (0, 1): 1 for few images and epochs, towards 0 at COCO's size.

    He et al. (2018): at 1k COCO images scratch has a third of the pretrained AP, at 10k nearly all of it,
    given several times the schedule. Images × epochs is what both kinds of patience buy.
    """
    seen = max(situation.num_train_images, 1) * max(situation.budget.epochs, 1)
    return 1.0 / (1.0 + math.exp(1.3 * (math.log10(seen) - 5.3)))


def leaks(situation: Situation) -> bool:
    """True if the source holds so many of the target's images that its scores flatter it."""
    return (situation.evidence.source_images_seen or 0.0) >= LEAK_SHARE


def saw_target(situation: Situation) -> bool:
    """True if the source is the target itself, or leaks: what such a start reaches there is no result."""
    own = situation.source is not None and situation.source.dataset_hash == situation.target.dataset_hash
    return own or leaks(situation)


def trained_on_target(evidence: Evidence) -> bool:
    """True if a checkpoint was trained on most of the target's images, so that no score of it there says anything."""
    return (evidence.source_images_seen or 0.0) >= TRAINED_ON_SHARE


def source_unknown(situation: Situation) -> bool:
    """True if nothing is known of what a checkpoint was trained on."""
    checkpoint = situation.checkpoint
    return checkpoint is not None and situation.source is None and not checkpoint.source_images


def similarity(situation: Situation) -> float:
    """Similarity of source and target; a fixed value where the source is unknown, 0 for a leak."""
    if leaks(situation):
        return 0.0
    value = situation.evidence.similarity
    return UNKNOWN_SIMILARITY if value is None else max(0.0, min(1.0, value))


def _pretrained(situation: Situation) -> float:
    return 0.0 if situation.checkpoint is None else head_start(situation)


def _frozen(situation: Situation) -> float:
    return 1.0 if situation.start.mode == "freeze" else 0.0


def _log_images(situation: Situation) -> float:
    """Decades of distinct images around 200, held within ±1.5."""
    return max(-1.5, min(1.5, math.log10(distinct_images(situation) / 200)))


def most_images(checkpoint: Checkpoint) -> int | None:
    """Images of the largest training that is known of the weights: the last one or any before it; None for unknown."""
    sizes = (checkpoint.source_images, *(step.source_images for step in checkpoint.lineage or ()))
    return max((size for size in sizes if size), default=None)


def _source_size(situation: Situation) -> float:
    if situation.checkpoint is None:
        return 0.0
    images = most_images(situation.checkpoint) or UNKNOWN_IMAGES
    return _pretrained(situation) * min(0.0, math.log10(images / 100_000) / 2)


def _retrained(situation: Situation) -> float:
    """Decades, halved, by which the last training was smaller than the largest; 0 where it was the largest."""
    checkpoint = situation.checkpoint
    if checkpoint is None:
        return 0.0
    largest, last = most_images(checkpoint), checkpoint.source_images
    return 0.0 if not largest or not last else _pretrained(situation) * math.log10(last / largest) / 2


def _retrained_classifier(situation: Situation) -> float:
    """The effect for classifiers: what few images teach anew costs them much of ImageNet, half as much in full mode."""
    checkpoint = situation.checkpoint
    if checkpoint is None or (checkpoint.task, situation.target.task) != ("classify", "classify"):
        return 0.0
    return _retrained(situation) * (0.5 + 0.5 * _frozen(situation))


def _narrow(situation: Situation) -> float:
    """1 for features trained on nothing but some hundred images, 0 for those from a hundred thousand."""
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


def _of_objects(term: Callable[[Situation], float]) -> Callable[[Situation], float]:
    """The term, but 0 for whole images: its form and its numbers come from detectors."""
    return lambda situation: 0.0 if task_definition(situation.target.task).whole_images else term(situation)


def _image_size(situation: Situation) -> float:
    """The effect of image size: more pixels than usual bring nothing before something has been learnt."""
    gain = image_size_term(situation)
    learnt = gain_share(situation) if situation.checkpoint is None else 1.0 - share_to_come(situation)
    return gain * learnt if gain > 0 else gain


def _of_task(task: Task) -> Callable[[Situation], float]:
    return lambda situation: float(situation.target.task == task)


def _full_classifier(situation: Situation) -> float:
    """1 to 0: how much a classifier of which all layers train still lacks; a frozen one is soon at its end."""
    whole_images = task_definition(situation.target.task).whole_images
    full = whole_images and situation.start.mode == "full"
    return CLASSIFIER_VIEWS / (CLASSIFIER_VIEWS + views(situation)) if full else 0.0


def _other_task(situation: Situation) -> float:
    """1 for weights that were trained for another task than the target's."""
    checkpoint = situation.checkpoint
    other = checkpoint is not None and checkpoint.task != situation.target.task
    return _pretrained(situation) if other else 0.0


RULES: tuple[Rule, ...] = (
    Rule(name="level", weight=0.80, sd=0.15, why="a middling detector at its best", value=lambda s: 1.0),
    Rule(name="views", weight=0.90, sd=0.15, slope=0.3, why="curves of 60 epochs on two sets", value=views_term),
    Rule(name="images", weight=0.15, sd=0.06, slope=0.06, why="learning curves of data size flatten",
         value=images_term),
    Rule(name="objects", weight=0.70, sd=0.20, slope=0.25, why="small objects are hard: VOC, COCO and WIDER FACE",
         value=_of_objects(objects_term)),
    Rule(name="image_size", weight=1.0, sd=0.20, slope=0.30, why="YOLOBench: four sets, 160 to 480 px",
         value=_of_objects(_image_size)),
    Rule(name="capacity", weight=1.0, sd=0.25, slope=0.30, why="YOLOBench and RF100-VL: what a COCO score is worth",
         value=_of_objects(capacity_term)),
    Rule(name="capacity_slope", weight=0.0, sd=0.08, slope=0.10, why="five targets say what the slope depends on",
         value=_of_objects(capacity_difference)),
    Rule(name="transfer", weight=1.0, sd=0.5, slope=0.5, why="RF100-VL: YOLO26n below YOLO11n despite its COCO score",
         value=_of_objects(transfer_term)),
    Rule(name="other_architecture", weight=0.0, sd=0.013, slope=0.015, why="RF100-VL's models around their line",
         value=_of_objects(other_architecture)),
    Rule(name="scratch_views", weight=-0.50, sd=0.15, slope=0.10, why="random weights start late",
         value=lambda s: scratch_views_term(s) if s.checkpoint is None else 0.0),
    Rule(name="scratch_images", weight=-0.30, sd=0.03, slope=0.02, why="He et al. 2018; YOLOBench: VOC from scratch",
         value=lambda s: scratch_images_term(s) if s.checkpoint is None else 0.0),
    Rule(name="missing_backbone", weight=-0.45, sd=0.15, why="what does not transfer is random",
         value=_missing_backbone),
    Rule(name="similarity", weight=0.16, sd=0.08, why="image domain matters most (Mensink 2021)",
         value=lambda s: _pretrained(s) * (similarity(s) - 1.0)),
    Rule(name="source_size", weight=0.07, sd=0.04, why="a broad source costs little (Mensink 2021)",
         value=_source_size),
    Rule(name="retrained", weight=0.02, sd=0.03, why="a short training forgets little of a long one before it",
         value=_retrained),
    Rule(name="narrow", weight=-0.22, sd=0.10, why="He et al. 2018: few images alone teach few features",
         value=_narrow),
    Rule(name="source_quality", weight=0.03, sd=0.04, why="a poor detector learnt little", value=_source_quality),
    Rule(name="unknown_source", weight=-0.02, sd=0.02, why="leaving the source out must not pay",
         value=lambda s: _pretrained(s) if s.source is None else 0.0),
    Rule(name="class_overlap", weight=0.04, sd=0.04, why="known classes keep their head rows", value=_overlap),
    Rule(name="box_shift", weight=-0.01, sd=0.01, why="other sizes use other pyramid levels", value=_box_shift),
    Rule(name="freeze", weight=-0.12, sd=0.08, why="one study .906 full against .511 frozen", value=_frozen),
    Rule(name="freeze_similarity", weight=0.12, sd=0.08, why="a backbone trained on similar data may stay as it is",
         value=lambda s: _frozen(s) * (similarity(s) - UNKNOWN_SIMILARITY)),
    Rule(name="freeze_images", weight=-0.06, sd=0.05, why="much data can move a backbone safely",
         value=lambda s: _frozen(s) * _log_images(s)),
    Rule(name="freeze_short", weight=0.20, sd=0.10, why="VOC, 50 epochs: .676 frozen, .682 full; ten epochs: no loss",
         value=lambda s: _frozen(s) * share_to_come(s)),
    Rule(name="segment_level", weight=-0.05, sd=0.10, why="masks are a little harder than boxes",
         value=_of_task("segment")),
    Rule(name="classify_level", weight=0.45, sd=0.40, why="a middling classifier at its best: 0.85",
         value=_of_task("classify")),
    Rule(name="other_task", weight=-0.10, sd=0.05, why="what does not transfer begins at random",
         value=_other_task),
    Rule(name="masks_at_random", weight=-0.60, sd=0.20, slope=0.30, value=masks_to_learn,
         why="after 10 epochs .43 from a detector, .47 from a segmenter on leaves, .21 and .37 on balloons"),
    Rule(name="classify_retrained", weight=0.17, sd=0.08, why="digits' frozen features: .21 below ImageNet's",
         value=_retrained_classifier),
    Rule(name="classify_short", weight=-0.20, sd=0.10, why="in ten epochs of nine sets full training climbs to the end",
         value=_full_classifier),
    Rule(name="classify_freeze", weight=0.05, sd=0.08, why="dogs and cats: frozen 90 %, fine-tuned 94 %, scratch 80 %",
         value=lambda s: _frozen(s) * _of_task("classify")(s)),
)  # fmt: skip


SCORED = tuple(row for row in ESTIMATORS if row.sd > 0)  # z-scored among the candidates of one target


def prior_weights() -> tuple[Matrix, Matrix, Matrix]:
    """Mean weights, their standard deviations, and those from target to target, in the order of `features`."""
    weights = [rule.weight for rule in RULES] + [rule.weight for rule in SCORED]
    deviations = [rule.sd for rule in RULES] + [rule.sd for rule in SCORED]
    slopes = [rule.slope for rule in RULES] + [0.0] * len(SCORED)
    return np.array(weights), np.array(deviations), np.array(slopes)


def features(situations: Sequence[Situation]) -> Matrix:
    """One row per situation: the rules, then the z-scored transferability scores."""
    rows = np.array([_by_rules(s) for s in situations], dtype=np.float64).reshape(len(situations), len(RULES))
    return np.hstack([rows, _scores(situations)])


# One answer forecasts several times from the same situations, and these never change.
_known_rows: WeakKeyDictionary[Situation, list[float]] = WeakKeyDictionary()


def _by_rules(situation: Situation) -> list[float]:
    found = _known_rows.get(situation)
    if found is None:
        found = _known_rows[situation] = [rule.value(situation) for rule in RULES]
    return found


def _counts(score: Estimator, situation: Situation) -> bool:
    return task_definition(situation.target.task).whole_images or (
        score.of_frozen and situation.start.mode == "freeze"
    )


def _scores(situations: Sequence[Situation]) -> Matrix:
    """z-scores by the spread among the distinct checkpoints of each target; 0 where nothing was measured.

    They are scores of features as they are, which full training of a detector moves: there they say nothing beyond
    the other rules, so some of them count for frozen detectors alone. Of image classification all count, in both modes.
    """
    columns = np.zeros((len(situations), len(SCORED)))
    by_target: dict[str, list[int]] = {}
    for i, situation in enumerate(situations):
        by_target.setdefault(situation.target.dataset_hash, []).append(i)
    for rows in by_target.values():
        columns[rows] = _scores_of_one_target(tuple(situations[i] for i in rows))
    return columns


@functools.lru_cache(maxsize=64)  # the targets of two histories: it keeps their situations in memory
def _scores_of_one_target(situations: tuple[Situation, ...]) -> Matrix:
    columns = np.zeros((len(situations), len(SCORED)))
    starts = {situation.start.checkpoint: situation for situation in situations}
    for column, rule in enumerate(SCORED):
        counting = [i for i, situation in enumerate(situations) if _counts(rule, situation)]
        spread = _spread(rule.name, starts) if counting else None
        if spread is None:
            continue
        for i in counting:
            value = _score(rule.name, situations[i])
            if value is not None:
                z = max(-2.5, min(2.5, (value - spread.mean) / spread.deviation))
                z = min(z, 0.0) if leaks(situations[i]) else z
                columns[i, column] = z * head_start(situations[i])
    return columns


@dataclass(frozen=True, kw_only=True)
class _Spread:
    mean: float
    deviation: float


def _spread(name: str, starts: Mapping[str, Situation]) -> _Spread | None:
    """The spread of a score among a target's public checkpoints; where fewer than MIN_SPREAD have it, among all.

    `starts` holds one situation of each checkpoint. What a user adds, weak networks or one network many times, must not
    move what is said of the others. None where too few have the score, or all the same.
    """
    scores = {start: _score(name, situation) for start, situation in starts.items()}
    known = {start: value for start, value in scores.items() if value is not None}
    public = [
        v
        for start, v in known.items()
        if (c := starts[start].checkpoint) is not None and c.origin != "registry"
    ]
    values = np.array(public if len(public) >= MIN_SPREAD else list(known.values()))
    if len(values) < MIN_SPREAD or values.std() < 1e-12:
        return None
    return _Spread(mean=float(values.mean()), deviation=float(values.std()))


def _score(name: str, situation: Situation) -> float | None:
    value = situation.evidence.scores.get(name)
    return value if value is not None and math.isfinite(value) else None
