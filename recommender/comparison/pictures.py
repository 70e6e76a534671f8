"""Hits, misses and false alarms on the held-out images, and the images on which the starts differ most."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.comparison.comparison_input import Box, Evaluation, Scene
from recommender.datasets.outlines import draw_mask
from recommender.records import Start

FAR_BEHIND = 0.5  # of the best start's mean F1
MIN_IOU = 0.5  # from which an object counts as found
GRID = 96  # cells a side on which masks are laid over each other: an edge is off by 1 % at most


@dataclass(frozen=True, kw_only=True)
class DetectionMatches:
    """One model on one image, at the chosen confidence."""

    hits: tuple[Box, ...]  # predicted boxes that are right
    misses: tuple[Box, ...]  # true boxes that nobody predicted
    false_alarms: tuple[Box, ...]  # predicted boxes with nothing, or another class, under them

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall on this image; 1 where there is nothing and nothing is seen."""
        wrong = len(self.misses) + len(self.false_alarms)
        return 2 * len(self.hits) / (2 * len(self.hits) + wrong) if self.hits or wrong else 1.0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An image and how far the starts are apart on it."""

    scene: Scene
    spread: float  # best minus worst F1 among the starts, each averaged over its seeds


def matches_of(truth: Sequence[Box], predicted: Sequence[Box], confidence: float) -> DetectionMatches:
    """Match predictions, the surest first, each with the free true box of its class that it covers best."""
    free = list(truth)
    hits, false_alarms = [], []
    for box in sorted(predicted, key=lambda box: -box.confidence):
        if box.confidence < confidence:
            continue
        best = max((t for t in free if t.label == box.label), key=lambda t: iou(t, box), default=None)
        if best is None or iou(best, box) < MIN_IOU:
            false_alarms.append(box)
        else:
            free.remove(best)
            hits.append(box)
    return DetectionMatches(hits=tuple(hits), misses=tuple(free), false_alarms=tuple(false_alarms))


def iou(first: Box, second: Box) -> float:
    """Intersection over union, of masks where there are any; 0 where the boxes do not touch or one mask is empty."""
    width = min(first.x2, second.x2) - max(first.x1, second.x1)
    height = min(first.y2, second.y2) - max(first.y1, second.y1)
    if width <= 0 or height <= 0:
        return 0.0
    if first.rings or second.rings:
        return _iou_of_masks(first, second) if first.rings and second.rings else 0.0
    shared = width * height
    return shared / (_area(first) + _area(second) - shared)


def differing_scenes(
    scenes: Sequence[Scene],
    evaluations: Mapping[Start, Sequence[Evaluation]],
    *,
    confidence: float,
    limit: int,
) -> tuple[Difference, ...]:
    """The images on which the starts differ most, not the prettiest.

    A start far behind the best would be the odd one out everywhere: it is shown, but has no say here.
    """
    if not scenes:
        return ()
    table = {
        start: {
            scene.name: [matches_of(scene.truth, e.boxes.get(scene.name, ()), confidence) for e in found]
            for scene in scenes
        }
        for start, found in evaluations.items()
        if found
    }
    level = {
        start: statistics.fmean(m.f1 for row in marks.values() for m in row) for start, marks in table.items()
    }
    bar = FAR_BEHIND * max(level.values(), default=0.0)
    speaking = [start for start in table if level[start] >= bar]
    found = []
    for scene in scenes:
        values = [statistics.fmean(m.f1 for m in table[start][scene.name]) for start in speaking]
        if len(values) > 1 and max(values) > min(values):
            found.append(Difference(scene=scene, spread=max(values) - min(values)))
    order = sorted(found, key=lambda one: (-round(one.spread, 6), -len(one.scene.truth), one.scene.name))
    return tuple(order[:limit])


def _iou_of_masks(first: Box, second: Box) -> float:
    """Counted on a grid over both boxes."""
    low = np.array([min(first.x1, second.x1), min(first.y1, second.y1)])
    size = np.array([max(first.x2, second.x2), max(first.y2, second.y2)]) - low
    one_HW, other_HW = (
        draw_mask([(np.reshape(ring, (-1, 2)) - low) / size for ring in box.rings], GRID, GRID)
        for box in (first, second)
    )
    either = int((one_HW | other_HW).sum())
    return int((one_HW & other_HW).sum()) / either if either else 0.0


def _area(box: Box) -> float:
    return (box.x2 - box.x1) * (box.y2 - box.y1)
