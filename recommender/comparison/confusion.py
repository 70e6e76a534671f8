"""The classes that a classifier takes for others, counted on the held-out images over the seeds of a start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.comparison.comparison_input import ComparisonInput, Evaluation, Scene
from recommender.comparison.rows import ComparisonRow
from recommender.records import Start


@dataclass(frozen=True, kw_only=True)
class Confused:
    """Images of one class that were taken for another, as a share of all images of that class."""

    true: int  # index of the class
    predicted: int
    count: int
    share: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """One start's first guesses: `counts_CC` by true class (row) and guessed class (column), summed over its seeds."""

    start: Start
    counts_CC: NDArray[np.int64]

    def accuracies(self) -> tuple[float | None, ...]:
        """The share that is right of each class; None for a class without images."""
        images_C = self.counts_CC.sum(axis=1)
        right_C = np.diag(self.counts_CC)
        return tuple(
            float(right / images) if images else None for right, images in zip(right_C, images_C, strict=True)
        )

    def most_confused(self, limit: int) -> tuple[Confused, ...]:
        """The pairs with the largest share of mistaken images, at most `limit`."""
        images_C = self.counts_CC.sum(axis=1)
        found = [
            Confused(
                true=int(true),
                predicted=int(guess),
                count=int(self.counts_CC[true, guess]),
                share=float(self.counts_CC[true, guess] / images_C[true]),
            )
            for true, guess in np.argwhere(self.counts_CC > 0)
            if true != guess
        ]
        return tuple(sorted(found, key=lambda one: (-one.share, one.true, one.predicted))[:limit])


def confusions_of(comparison: ComparisonInput, rows: Sequence[ComparisonRow]) -> tuple[Confusion, ...]:
    """One for each of these rows that was evaluated; empty for other tasks, whose images have no single class."""
    if comparison.task != "classify":
        return ()
    evaluations = {one.run.id: one.evaluation for one in comparison.trained if one.evaluation is not None}
    found = []
    for row in rows:
        own = [evaluations[id] for id in row.runs if id in evaluations]
        if own:
            counts_CC = sum_of(own, comparison.held.scenes, len(comparison.plan.class_names))
            found.append(Confusion(start=row.start, counts_CC=counts_CC))
    return tuple(found)


def sum_of(evaluations: Sequence[Evaluation], scenes: Sequence[Scene], classes: int) -> NDArray[np.int64]:
    """The counts of these evaluations; an image that one of them does not hold is left out of it."""
    counts_CC = np.zeros((classes, classes), dtype=np.int64)
    for evaluation in evaluations:
        for scene in scenes:
            # A classifier's first guess is kept as a box around the whole image.
            for guess in evaluation.boxes.get(scene.name, ())[:1]:
                counts_CC[scene.truth[0].label, guess.label] += 1
    return counts_CC
