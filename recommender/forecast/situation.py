"""What the forecast looks at: one start on one target at one budget, known or still to be run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recommender.records import Budget, Checkpoint, Evidence, Profile, Run, Start


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
class Partial:
    """How a run that broke off speaks for the finished one: finished ≈ offset + slope × broken off, ± noise.

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
    partial: Partial | None = None  # set where the run broke off before its schedule's end

    @property
    def score(self) -> float:
        """The result: the best epoch's mAP50-95."""
        if self.run.best is None:
            raise ValueError(f"run {self.run.id} has no finished epoch; failed runs are no observations")
        return self.run.best.score


def to_scale(score: float) -> float:
    """Map mAP in [0, 1] to the arcsine square root scale, on which seed noise is about even."""
    return math.asin(math.sqrt(min(max(score, 0.0), 1.0)))
