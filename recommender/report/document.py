"""The published form of an answer: what `--json` prints, HTTP returns and the JSON schema describes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from recommender.records import Evidence, Interval, RankedStart, Recommendation, Run
from recommender.tasks import task_definition


class Document(BaseModel):
    """A part of a published answer. Numbers are finite: JSON knows no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageCounts(Document):
    """Images per split."""

    train: int
    val: int
    test: int = 0


class DatasetPart(Document):
    """The target."""

    name: str
    task: str = Field(description='"detect".')
    hash: str = Field(description="Content hash: images, labels, splits and class names; not paths or times.")
    images: ImageCounts
    classes: tuple[str, ...]


class BudgetPart(Document):
    """What the full training may cost."""

    epochs: int
    imgsz: int = Field(description="Pixels, longer side.")


class IntervalPart(Document):
    """A mean with a central interval."""

    mean: float
    low: float
    high: float
    level: float = Field(description="Share of outcomes the interval is meant to hold, 0.8 for 80 %.")


class EvidencePart(Document):
    """Numbers that cost no training; null is not measured."""

    similarity: float | None = None
    image_similarity: float | None = None
    object_similarity: float | None = None
    class_overlap: float | None = None
    box_size_shift: float | None = None
    weights_transferred: float | None = None
    backbone_transferred: float | None = None
    knn_accuracy: float | None = None
    logme_classes: float | None = None
    logme_boxes: float | None = None
    h_score: float | None = None
    transrate: float | None = None
    source_images_seen: float | None = None
    nearest_sources: tuple[str, ...] = ()


class TrialPart(Document):
    """What a short trial of this start found."""

    run: str
    status: str
    epochs: int
    score: float | None
    seconds: float


class RankedPart(Document):
    """One start."""

    rank: int
    checkpoint: str = Field(description='Name of the checkpoint; "scratch" for random weights.')
    mode: str
    score: IntervalPart = Field(description="Of the metric named above, after the full training.")
    p_best: float = Field(description="Chance that no other start ends better.")
    expected_loss: float | None = Field(
        None, description="What choosing it is expected to lose against the best start."
    )
    gain_over_scratch: IntervalPart
    evidence: EvidencePart
    reasons: tuple[str, ...]
    available: bool = Field(description="Whether the weights are on this machine.")
    trial: TrialPart | None = None


class NoticePart(Document):
    """A warning with a stable code."""

    code: str
    message: str


class ProvenancePart(Document):
    """Enough to compute the same answer again."""

    version: str
    weights_sha256: dict[str, str]
    seed: int
    history_runs: int
    encoder: str
    libraries: dict[str, str]


class RecommendationDocument(Document):
    """A recommendation: starts ordered by forecast, with reasons, warnings and provenance."""

    dataset: DatasetPart
    budget: BudgetPart
    metric: str = Field(description='The metric of every score: "map50_95".')
    ranking: tuple[RankedPart, ...]
    warnings: tuple[NoticePart, ...]
    method: str = Field(
        description='What the forecast rests on, e.g. "rules" or "rules and 118 runs on 10 targets".'
    )
    command: str = Field(description="The equivalent `yolo detect train …` of the first start.")
    verdict: str | None = Field(None, description="What trials did to the answer; null where none ran.")
    provenance: ProvenancePart


def document(recommendation: Recommendation) -> RecommendationDocument:
    """The published form of a recommendation."""
    profile, provenance = recommendation.profile, recommendation.provenance
    counts = profile.num_images
    return RecommendationDocument(
        dataset=DatasetPart(
            name=profile.dataset_name,
            hash=profile.dataset_hash,
            task=profile.task,
            images=ImageCounts(train=counts.train, val=counts.val, test=counts.test),
            classes=profile.class_names,
        ),
        budget=BudgetPart(epochs=recommendation.budget.epochs, imgsz=recommendation.budget.imgsz),
        metric=task_definition(recommendation.task).metric.name,
        ranking=tuple(_ranked(row) for row in recommendation.ranking),
        warnings=tuple(NoticePart(code=n.code, message=n.message) for n in recommendation.warnings),
        method=recommendation.method,
        command=recommendation.command,
        verdict=recommendation.verdict,
        provenance=ProvenancePart(
            version=provenance.version,
            weights_sha256=provenance.weights_sha256,
            seed=provenance.seed,
            history_runs=provenance.history_runs,
            encoder=provenance.encoder,
            libraries=provenance.libraries,
        ),
    )


def _ranked(row: RankedStart) -> RankedPart:
    return RankedPart(
        rank=row.rank,
        checkpoint=row.start.checkpoint,
        mode=row.start.mode,
        score=_interval(row.score),
        p_best=round(row.p_best, 4),
        expected_loss=round(row.expected_loss, 4),
        gain_over_scratch=_interval(row.gain_over_scratch),
        evidence=_evidence(row.evidence),
        reasons=row.reasons,
        available=row.available,
        trial=_trial(row.trial) if row.trial else None,
    )


def _interval(interval: Interval) -> IntervalPart:
    return IntervalPart(
        mean=round(interval.mean, 4),
        low=round(interval.low, 4),
        high=round(interval.high, 4),
        level=interval.level,
    )


def _evidence(evidence: Evidence) -> EvidencePart:
    values = {
        name: round(value, 6) if isinstance(value, float) else value
        for name in EvidencePart.model_fields
        if (value := getattr(evidence, name)) is not None
    }
    return EvidencePart.model_validate(values)


def _trial(run: Run) -> TrialPart:
    return TrialPart(
        run=run.id,
        status=run.status,
        epochs=len(run.curve),
        score=run.best.score if run.best else None,
        seconds=round(run.seconds, 2),
    )
