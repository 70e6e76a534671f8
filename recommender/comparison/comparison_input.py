"""The input of a comparison after its trainings: frozen records."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.records import (
    Checkpoint,
    Evidence,
    Interval,
    Notice,
    Run,
    Split,
    Start,
    TransferCoverage,
)
from recommender.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Box:
    """One object, in fractions of the image: left, top, right, bottom within [0, 1], and of masks the rings too."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: int  # index of the class
    confidence: float = 1.0  # of a prediction
    rings: tuple[tuple[float, ...], ...] = ()  # x, y, x, y, … of each, even-odd; empty where there is no mask


@dataclass(frozen=True, kw_only=True)
class Score:
    """Scores of trained weights on the held-out images."""

    score: float  # the task's primary metric
    details: dict[str, float]  # the others by name


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A trained model on the held-out images: its score, and its boxes image by image."""

    run_id: str
    split: Split
    score: Score
    boxes: dict[str, tuple[Box, ...]]  # by image name; of confidence 0.05 and more
    tta: Score | None = None  # with test-time augmentation; None where it was not tried or is not possible
    tried_tta: bool = False


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One held-out image and what is really on it."""

    name: str
    width: int  # pixels
    height: int
    truth: tuple[Box, ...]


@dataclass(frozen=True, kw_only=True)
class FinishedTraining:
    """One finished training of the comparison. `evaluation` None: its weights were not kept."""

    run: Run
    evaluation: Evaluation | None

    @property
    def start(self) -> Start:
        """The start."""
        return self.run.start

    @property
    def fraction(self) -> float:
        """The share of the train images it saw."""
        return self.run.recipe.fraction


@dataclass(frozen=True, kw_only=True)
class ComparedStart:
    """Evidence on a start before any training."""

    start: Start
    architecture: str
    checkpoint: Checkpoint | None  # None for random weights
    evidence: Evidence
    coverage: TransferCoverage


@dataclass(frozen=True, kw_only=True)
class ExpectedScore:
    """The forecast for one start at one fraction, made before the runs."""

    start: Start
    fraction: float
    score: Interval  # on the validation images, at the best epoch
    p_best: float  # among the starts compared, at this fraction


@dataclass(frozen=True, kw_only=True)
class PriorForecast:
    """The forecast as it was made and stored before the first run."""

    made_at: str  # ISO 8601, UTC
    history_runs: int  # it rests on, none of this comparison's own
    history_runs_here: int  # of them on this very data set
    expected: tuple[ExpectedScore, ...]
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HeldOutSplit:
    """The split on which the trained models are scored."""

    split: Split
    is_held_out: bool  # False: the validation images, which chose the best epoch too
    scenes: tuple[Scene, ...]


@dataclass(frozen=True, kw_only=True)
class FailedTraining:
    """A training that was asked for and has no result."""

    start: Start
    fraction: float
    seed: int
    learning_rate: float | None
    why: str


@dataclass(frozen=True, kw_only=True)
class ComparisonPlan:
    """The request."""

    dataset_name: str
    dataset_hash: str
    class_names: tuple[str, ...]
    num_train: int
    num_val: int
    num_test: int
    starts: tuple[Start, ...]
    fractions: tuple[float, ...]  # the largest first
    seeds: int
    epochs: int
    patience: int | None
    imgsz: int
    batch: int
    optimizer: str
    learning_rates: tuple[float | None, ...]  # None: the mode's default
    confidence: float  # from which a box counts in the pictures
    multi_scale: float = 0.0  # share of `imgsz` by which training images are resized at random
    tta: bool = False  # scored with test-time augmentation too


@dataclass(frozen=True, kw_only=True)
class ComparisonInput:
    """Everything a report is computed from."""

    id: str
    plan: ComparisonPlan
    compared_starts: tuple[ComparedStart, ...]  # in the order asked for
    prior_forecast: PriorForecast
    trained: tuple[FinishedTraining, ...]
    failures: tuple[FailedTraining, ...]
    held: HeldOutSplit
    ended_early: str | None = None  # why trainings are missing
    notices: tuple[Notice, ...] = ()
    hardware: tuple[str, ...] = ()
    version: str = ""
    task: Task = "detect"

    def compared_start(self, start: Start) -> ComparedStart:
        """The evidence on that start before training."""
        return next(one for one in self.compared_starts if one.start == start)
