"""A sweep as JSON: the summary that `recommend sweep --json` prints, and the cost that is told while it runs."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from recommender.comparison.noise import SeedSpread
from recommender.records import Notice


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class SweepTarget(_Document):
    """A data set of the sweep."""

    name: str
    hash: str


class StartResult(_Document):
    """One start on one target at one fraction of its train images."""

    dataset: SweepTarget
    fraction: float
    checkpoint: str
    mode: str
    learning_rate: float | None = Field(None, description="null is the default of the mode.")
    freeze: str | None = Field(None, description="Frozen up to there; null is the mode's own depth.")
    score: SeedSpread | None = Field(description="null where no seed has finished.")
    asked: int = Field(description="Seeds asked for.")
    errors: tuple[str, ...]
    runs: tuple[str, ...] = Field(description="Ids of the finished runs.")


class TrialCounts(_Document):
    """Trials by how they ended."""

    asked: int
    known_before: int
    finished: int = Field(validation_alias=AliasChoices("finished", "settled"))  # as of version 0.1
    failed: int
    cut_off: int
    waiting: int


class SweepTotal(_Document):
    """Time used by the whole sweep."""

    wall_s: float
    gpu_s: float | None = Field(None, description="GPU seconds; null on a cluster without.")
    cpu_s: float | None = Field(None, description="CPU seconds; null where GPUs are counted.")
    limit_s: float | None = Field(description="Of the budget; null without one.")


class SweepDocument(_Document):
    """The summary of a sweep: every start on every target."""

    results: tuple[StartResult, ...]
    trials: TrialCounts
    cost: SweepTotal
    ended_early: str | None = Field(description="Why, where it was not carried to its end.")
    warnings: tuple[Notice, ...] = ()


class SweepCost(_Document):
    """Time used so far, and the number of trials that wait, run and have ended."""

    elapsed_s: float
    spent_s: float = Field(description="In the unit of the budget: wall clock, or seconds of devices.")
    limit_s: float | None
    device_s: float
    device: str = Field(description="cpu or gpu.")
    waiting: int
    running: int
    ended: int
