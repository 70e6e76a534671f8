"""The input of the forecast: one start on one target at one budget, known or still to be run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.records import Budget, Checkpoint, Evidence, Profile, Run, Start
from recommender.tasks import task_definition


@dataclass(frozen=True, kw_only=True, eq=False)
class Situation:
    """One start on one target at one budget."""

    target: Profile
    num_train_images: int
    budget: Budget
    start: Start
    checkpoint: Checkpoint | None  # None for random weights
    source: Profile | None  # None for random weights or an unknown source
    evidence: Evidence


@dataclass(frozen=True, kw_only=True)
class PartialRun:
    """The forecast of a finished run from one that broke off: finished ≈ offset + slope × broken off, ± noise.

    The offset is a guess whose error is common to all runs of the same target that broke off at the same epoch, so
    their differences count most. All are on the arcsine square root scale.
    """

    group: str
    offset: float
    slope: float
    noise: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """A situation and the run that showed how it ends."""

    situation: Situation
    run: Run
    partial: PartialRun | None = None  # set where the run broke off before its schedule's end

    @property
    def score(self) -> float:
        """The result: the best epoch's mAP50-95."""
        if self.run.best is None:
            raise ValueError(f"run {self.run.id} has no finished epoch; failed runs are no observations")
        return self.run.best.score


def chance(target: Profile) -> float:
    """The score of guessing: 1 / classes of whole images, 0 where objects have to be found."""
    whole_images = task_definition(target.task).whole_images
    return 1.0 / len(target.class_names) if whole_images and target.class_names else 0.0


HIGHEST = 0.995  # mAP; above nothing is told apart
BEND = 0.8  # mAP 0.51: above, the scale is stretched
_ROOM = math.pi / 2 - BEND


def to_scale(score: float) -> float:
    """Map mAP in [0, 1] to the model's scale: arcsine of the square root, stretched above `BEND`.

    Seed noise is about even on it, and sums of effects approach mAP 1 without reaching it.
    """
    angle = math.asin(math.sqrt(min(max(score, 0.0), HIGHEST)))
    return angle if angle <= BEND else BEND + _ROOM * math.atanh((angle - BEND) / _ROOM)


def from_scale(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mAP of values on the model's scale; `to_scale` undone."""
    angles = np.where(values > BEND, BEND + _ROOM * np.tanh((values - BEND) / _ROOM), values)
    scores: NDArray[np.float64] = np.sin(np.maximum(angles, 0.0)) ** 2
    return scores
