"""The published form of a comparison, part by part: what its JSON schema describes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from recommender.comparison.noise import SeedSpread
from recommender.comparison.reasons import Reason
from recommender.comparison.rows import StartingScore
from recommender.records import EpochMetrics, Interval, LayerTransfer, Notice, SplitCounts, Start
from recommender.report.document import Document

StartText = Annotated[str, BeforeValidator(lambda start: str(start) if isinstance(start, Start) else start)]


class AskedPart(Document):
    """The request."""

    starts: tuple[StartText, ...]
    fractions: tuple[float, ...]
    seeds: int
    epochs: int
    patience: int | None
    imgsz: int
    batch: int
    optimizer: str
    learning_rates: tuple[float | None, ...] = Field(description="null is the mode's default.")
    scored_on: str = Field(description='Split of the table: "test", or "val" where nothing is held back.')
    confidence: float = Field(description="From which a box counts in the pictures.")
    multi_scale: float = Field(description="Share of imgsz by which training images were resized at random.")
    tta: bool = Field(description="Whether test-time augmentation was asked for.")


class RowPart(Document):
    """One start at one share of the train images."""

    start: StartText
    checkpoint: str
    mode: str
    fraction: float
    train_images: int
    learning_rate: float | None
    starting: StartingScore
    score: SeedSpread
    details: dict[str, SeedSpread] = Field(description="The task's other metrics by name.")
    tta: SeedSpread | None = Field(
        description="Score with test-time augmentation; null where not asked for or not possible."
    )
    val_score: SeedSpread
    epochs_to_best: SeedSpread
    seconds_to_best: SeedSpread
    seconds: SeedSpread
    estimated_seconds: SeedSpread | None = Field(
        None, description="Of the same epochs, before they began; null where nothing was timed by then."
    )
    runs: tuple[str, ...]


class CurvePart(Document):
    """One learning curve, on the validation images."""

    run: str
    start: StartText
    fraction: float
    seed: int
    learning_rate: float | None
    normalisation: str
    points: tuple[EpochMetrics, ...]


class CatchUpPart(Document):
    """The epoch at which scratch reaches the best pretrained start."""

    kind: str
    epoch: float | None
    low: float | None
    high: float | None = Field(description="null beyond ten times the budget.")
    goal: float
    reached: float
    text: str


class GainPart(Document):
    """The best pretrained start against scratch at one size."""

    model_config = ConfigDict(from_attributes=True)  # of the record that has the same fields

    train_images: int
    start: StartText
    gain: float
    noise: float | None


class SizesPart(Document):
    """The size below which pretraining matters."""

    kind: str
    train_images: int | None
    gains: tuple[GainPart, ...]
    text: str


class RatePart(Document):
    """A learning rate and what it reached with the first seed."""

    learning_rate: float
    val_score: float


class ModePart(Document):
    """The change of a start's weights in training."""

    start: StartText
    architecture: str
    transferred: float = Field(description="Share of the parameters.")
    backbone_transferred: float
    neck_transferred: float
    head_transferred: float
    classes_matched: int
    trainable: float = Field(description="Share of the parameters that trains.")
    rates_tried: tuple[RatePart, ...]
    similarity: float | None
    images_seen: float | None = Field(description="Share of your images found in the source.")
    blocks: tuple[LayerTransfer, ...]


class LossPart(Document):
    """A pretrained start that lost by more than noise."""

    start: StartText
    against: StartText
    gap: float
    reasons: tuple[Reason, ...]


class ForecastRow(Document):
    """A forecast and its outcome, on the validation images."""

    start: StartText
    fraction: float
    forecast: Interval
    p_best: float
    outcome: float
    deviation: float | None
    inside: bool


class ForecastPart(Document):
    """The forecast made before the runs."""

    made_at: str
    history_runs: int
    history_runs_here: int
    rows: tuple[ForecastRow, ...]
    first_choice: StartText | None
    regret: float | None


class ScenePart(Document):
    """A held-out image on which the starts differ."""

    image: str
    spread: float = Field(description="Best minus worst F1 among the starts; of a classifier, accuracy.")


class ConfusedPart(Document):
    """Images of one class that were taken for another."""

    true: str
    predicted: str
    images: int = Field(description="Over all seeds.")
    share: float = Field(description="Of all images of the true class.")


class ClassesPart(Document):
    """One start's first guesses on the held-out images, class by class, over all seeds."""

    start: StartText
    accuracy: dict[str, float | None] = Field(description="By class; null for a class without images.")
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="Images by true class (rows) and guessed class (columns), in the order of `classes`; empty with "
        "more than 200 classes, where `most_confused` tells."
    )
    most_confused: tuple[ConfusedPart, ...]


class FailurePart(Document):
    """A training without a result."""

    start: StartText
    fraction: float
    seed: int
    why: str


class ComparisonDocument(Document):
    """Chosen starts trained side by side on one data set."""

    id: str
    version: str
    dataset: str
    dataset_hash: str
    images: SplitCounts
    classes: tuple[str, ...]
    asked: AskedPart
    sentences: tuple[str, ...]
    noise: str
    seed_deviation: float | None
    table: tuple[RowPart, ...]
    catch_up: CatchUpPart | None
    sizes: SizesPart | None
    modes: tuple[ModePart, ...]
    losses: tuple[LossPart, ...]
    forecast: ForecastPart
    pictures: tuple[ScenePart, ...]
    by_class: tuple[ClassesPart, ...] = Field(description="Of image classification; empty for other tasks.")
    curves: tuple[CurvePart, ...]
    warnings: tuple[Notice, ...]
    failures: tuple[FailurePart, ...]
    ended_early: str | None
    hardware: tuple[str, ...]
