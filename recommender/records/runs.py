"""Trainings: what fixes one, its learning curve, and what came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from recommender.records.checkpoints import Start
from recommender.records.fields import described
from recommender.starts import DEPTHS_OF_MODE, FreezeDepth
from recommender.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that fixes a training apart from the start and the data.

    `learning_rate` None asks for the mode's default; `optimizer` is always named, since
    ultralytics' "auto" picks by iteration count and would give a trial another one than the full run.
    """

    epochs: int
    imgsz: int
    batch: int = 16
    optimizer: str = "AdamW"
    learning_rate: float | None = None
    patience: int | None = None  # epochs; None never stops early
    normalisation: Literal["batch", "group"] = "batch"
    fraction: float = 1.0  # of the train images, nested by seed
    seed: int = 0
    schedule_epochs: int | None = None  # a trial stops at `epochs` of this schedule; None: the same
    class_map: tuple[tuple[str, str], ...] = ()  # (the data set's class, the checkpoint's of that meaning)
    multi_scale: float = 0.0  # each batch is resized at random by up to this share of `imgsz`, up or down
    freeze: FreezeDepth | None = None  # None: the mode's own, the backbone for "freeze" and nothing else


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """One point of a learning curve. Losses that are not finite never get here."""

    epoch: int  # 1 is after the first epoch
    score: float  # the task's primary metric: mAP50-95 of detection
    details: dict[str, float]  # the task's other metrics by name (`recommender.tasks`), as far as known
    seconds: float  # since the start of the training


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment of a run."""

    hardware: str
    device: str
    num_threads: int
    versions: dict[str, str]
    num_processes: int = 1  # of one training, a GPU each; runs from before this was recorded have 1


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The expected time and memory of a training, before it began; None is not known."""

    seconds: float | None = field(default=None, metadata=described("Of all its epochs."))
    memory_mb: float | None = field(
        default=None,
        metadata=described("At its peak on a GPU, as PyTorch counts it: without its own libraries."),
    )
    basis: str | None = field(
        default=None, metadata=described('What the seconds go by: "by 5 runs timed here".')
    )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training with its curve, cost, seed and environment."""

    id: str  # content hash of what was asked: target, start, weights, recipe, code of the recipe
    kind: Literal["trial", "full"]
    status: Literal["succeeded", "stopped", "failed"]
    target_hash: str
    target_name: str
    start: Start
    weights_sha256: str | None
    source_hash: str | None
    architecture: str
    recipe: Recipe
    num_train_images: int
    curve: tuple[EpochMetrics, ...]
    starting_score: float | None  # the checkpoint's own score before the transfer, where classes match
    best: EpochMetrics | None
    seconds: float
    peak_memory_mb: float | None
    batch_used: int | None
    optimizer_used: str | None
    learning_rate_used: float | None
    weights_transferred: float | None
    environment: Environment
    notes: tuple[str, ...] = ()  # differences from what was asked
    error: str | None = None
    created_at: str = ""  # ISO 8601, UTC
    task: Task = "detect"
    cpu_seconds: float | None = None  # processor time of all threads, which a busy machine does not stretch
    estimate: Estimate | None = None  # made before it began; versions before 0.2 kept none

    @property
    def score(self) -> float | None:
        """The score of the best epoch; None of a run without a finished one."""
        return None if self.best is None else self.best.score

    @property
    def learning_rate(self) -> float | None:
        """The rate at its highest, else the one asked for; None where neither is known."""
        return self.learning_rate_used or self.recipe.learning_rate

    @property
    def frozen_up_to(self) -> FreezeDepth:
        """The part up to whose end its layers were frozen."""
        return self.recipe.freeze or DEPTHS_OF_MODE[self.start.mode][0]

    @property
    def expected_seconds(self) -> float | None:
        """The estimate for the epochs that were trained: a run that ended early is not held to all of them."""
        if self.estimate is None or self.estimate.seconds is None or not self.curve:
            return None
        return self.estimate.seconds * len(self.curve) / self.recipe.epochs
