"""The published form of an answer: what `--json` prints, HTTP returns and the JSON schema describes."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from recommender.evidence import ESTIMATORS
from recommender.records import (
    Budget,
    Cost,
    Decision,
    Evidence,
    FoldedStart,
    Interval,
    Notice,
    Provenance,
    RankedStart,
    Recommendation,
    Run,
    RunUsed,
    SizeOption,
    Start,
    TrialValue,
)
from recommender.report.headline import Headline, headline
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
    task: str = Field("detect", description='"detect".')  # answers stored by version 0.1 name none
    hash: str = Field(description="Content hash: images, labels, splits and class names; not paths or times.")
    images: ImageCounts
    classes: tuple[str, ...]


class EvidencePart(Document):
    """Numbers that cost no training; null is not measured. Each estimator of the table adds one by its name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    similarity: float | None = None
    image_similarity: float | None = None
    object_similarity: float | None = None
    class_overlap: float | None = None
    box_size_shift: float | None = None
    weights_transferred: float | None = None
    backbone_transferred: float | None = None
    source_images_seen: float | None = None
    nearest_sources: tuple[str, ...] = ()


class TrialPart(Document):
    """The result of a short trial of this start."""

    run: str
    status: str
    epochs: int
    score: float | None
    seconds: float


class SizePart(Document):
    """A start at one image size."""

    imgsz: int
    score: float = Field(description="Expected.")
    allowed: bool = Field(description="Whether it keeps to the limits.")
    latency_ms: float | None
    latency_basis: str | None
    flops_b: float | None
    hours: float | None
    cost: float | None


class RankedPart(Document):
    """One start."""

    rank: int
    checkpoint: str = Field(description='Name of the checkpoint; "scratch" for random weights.')
    mode: str
    score: Interval = Field(description="Of the metric named above, after the full training.")
    p_best: float = Field(description="Chance that no other start ends better; never rises with the rank.")
    expected_loss: float | None = Field(
        None, description="What choosing it is expected to lose against the best start."
    )
    gain_over_scratch: Interval
    evidence: EvidencePart
    reasons: tuple[str, ...]
    available: bool = Field(description="Whether the weights are on this machine.")
    architecture: str | None = Field(
        None, description="That is trained; null for scratch: that of the others."
    )
    imgsz: int | None = Field(
        None, description="Training image size in pixels; null in answers of version 0.1."
    )
    hours: float | None = Field(
        None,
        description="Of the full training, on the hardware of the newest runs; null where none was timed.",
    )
    latency_ms: float | None = Field(
        None, description="Of one image on the device asked for; null where none was, or it is not known."
    )
    latency_basis: str | None = Field(
        None, description='"measured", or from which model and size it is estimated.'
    )
    memory_mb: float | None = Field(
        None, description="Of the device while it runs the model; null: not known."
    )
    flops_b: float | None = Field(None, description="10^9 operations for one image at `imgsz`.")
    cost: float | None = Field(
        None, description="Of the full training, in the currency of the price asked with."
    )
    fetch_mb: float | None = Field(
        None, description="About how large the weights are that are to be fetched first; null: they are here."
    )
    on_front: bool = Field(False, description="Whether no other start reaches as much for less.")
    sizes: tuple[SizePart, ...] = Field(
        (), description="The start at every image size looked at; empty where one was given."
    )
    learning_rate: float | None = Field(
        None, description="To train with, by runs on this very data set; null: the default."
    )
    freeze: str | None = Field(None, description="The same of the freeze depth; null: the mode's own.")
    trial: TrialPart | None = None


class FoldedPart(Document):
    """A start that would have to be fetched, and the one in the ranking that stands for it."""

    checkpoint: str
    mode: str
    imgsz: int
    score: float = Field(description="Expected.")
    instead: Start
    instead_score: float | None = Field(None, description="Expected of that one; null in earlier answers.")
    latency_ms: float | None = None
    flops_b: float | None = None
    hours: float | None = None


class DecisionPart(Document):
    """The start to take, its expected loss, and the starts not told apart from it."""

    checkpoint: str
    mode: str
    expected_loss: float = Field(description="Against the best of all the starts, one training each.")
    num_starts: int = Field(description="How many were compared, shown or not.")
    tied: tuple[Start, ...] = Field(
        description="Starts not told apart from the first, itself included, as `tie_rule` orders them."
    )
    tie_rule: str
    trials: TrialValue | None = Field(
        None, description="null where trials are not expected to improve the choice."
    )


class RunUsedPart(Document):
    """A past run that the answer rests on."""

    run: str
    target: str
    same_target: bool
    checkpoint: str
    mode: str
    epochs: int
    imgsz: int
    train_images: int
    score: float
    effect: float = Field(description="By how much it moves the expected score of the first start.")


class RecommendationDocument(Document):
    """A recommendation: starts ordered by expected loss, with reasons, warnings and provenance."""

    dataset: DatasetPart
    budget: Budget
    metric: str = Field(description='The metric of every score: "map50_95".')
    headline: Headline | None = Field(None, description="The answer in four lines.")
    decision: DecisionPart | None = Field(None, description="What to take; null in answers of version 0.1.")
    level_supported: bool = Field(
        True, description="false: no run is near this budget, so only the order is worth trusting."
    )
    ranking: tuple[RankedPart, ...]
    folded: tuple[FoldedPart, ...] = Field(
        (), description="Starts to be fetched that promise hardly more than one in the ranking, best first."
    )
    rests_on: tuple[RunUsedPart, ...] = Field(
        (), description="The runs with the largest effect, largest first."
    )
    warnings: tuple[Notice, ...]
    notes: tuple[Notice, ...] = Field((), description="No faults: licences, and what stands in for what.")
    device: str | None = Field(None, description="Where the trained model is to run.")
    limits: tuple[str, ...] = Field((), description="As asked for, in words.")
    max_latency_ms: float | None = Field(None, description="As asked for.")
    max_hours: float | None = Field(None, description="As asked for.")
    max_flops_b: float | None = Field(None, description="As asked for.")
    method: str = Field(
        description='What the forecast rests on, e.g. "rules" or "rules and 118 runs on 10 targets".'
    )
    train_command: str | None = Field(None, description="`recommend train …` of the first start.")
    command: str = Field(description="`yolo detect train …` of the same recipe.")
    verdict: str | None = Field(None, description="What trials did to the answer; null where none ran.")
    provenance: Provenance


def document(recommendation: Recommendation) -> RecommendationDocument:
    """The published form of a recommendation."""
    profile = recommendation.profile
    counts = profile.num_images
    return RecommendationDocument(
        dataset=DatasetPart(
            name=profile.dataset_name,
            hash=profile.dataset_hash,
            task=profile.task,
            images=ImageCounts(train=counts.train, val=counts.val, test=counts.test),
            classes=profile.class_names,
        ),
        budget=recommendation.budget,
        metric=task_definition(recommendation.task).metric.name,
        decision=_decision(recommendation.decision),
        level_supported=recommendation.level_supported,
        ranking=tuple(_ranked(row, recommendation.budget.imgsz) for row in recommendation.ranking),
        folded=tuple(map(_folded, recommendation.folded)),
        rests_on=tuple(_run_used(used) for used in recommendation.rests_on),
        headline=headline(recommendation),
        warnings=tuple(recommendation.warnings),
        notes=tuple(recommendation.notes),
        device=recommendation.device,
        limits=recommendation.limits,
        max_latency_ms=recommendation.max_latency_ms,
        max_hours=recommendation.max_hours,
        max_flops_b=recommendation.max_flops_b,
        method=recommendation.method,
        train_command=recommendation.train_command,
        command=recommendation.command,
        verdict=recommendation.verdict,
        provenance=recommendation.provenance,
    )


def _ranked(row: RankedStart, imgsz: int) -> RankedPart:
    cost = row.cost or Cost()
    return RankedPart(
        rank=row.rank,
        checkpoint=row.start.checkpoint,
        mode=row.start.mode,
        score=rounded(row.score),
        p_best=round(row.p_best, 4),
        expected_loss=round(row.expected_loss, 4),
        gain_over_scratch=rounded(row.gain_over_scratch),
        evidence=_evidence(row.evidence),
        reasons=row.reasons,
        available=row.available,
        architecture=row.architecture,
        imgsz=row.imgsz or imgsz,
        hours=_rounded(row.hours, 4),
        latency_ms=_rounded(cost.latency_ms, 2),
        latency_basis=cost.latency_basis,
        memory_mb=_rounded(cost.memory_mb, 1),
        flops_b=_rounded(cost.flops_b, 2),
        cost=_rounded(cost.money, 4),
        fetch_mb=row.fetch_mb,
        on_front=row.on_front,
        sizes=tuple(map(_size, row.sizes)),
        learning_rate=row.learning_rate,
        freeze=row.freeze,
        trial=_trial(row.trial) if row.trial else None,
    )


def _folded(one: FoldedStart) -> FoldedPart:
    cost = one.cost or Cost()
    return FoldedPart(
        checkpoint=one.start.checkpoint,
        mode=one.start.mode,
        imgsz=one.imgsz,
        score=round(one.score, 4),
        instead=one.instead,
        instead_score=round(one.instead_score, 4),
        latency_ms=_rounded(cost.latency_ms, 2),
        flops_b=_rounded(cost.flops_b, 2),
        hours=_rounded(cost.hours, 4),
    )


def _size(size: SizeOption) -> SizePart:
    return SizePart(
        imgsz=size.imgsz,
        score=round(size.score, 4),
        allowed=size.allowed,
        latency_ms=_rounded(size.cost.latency_ms, 2),
        latency_basis=size.cost.latency_basis,
        flops_b=_rounded(size.cost.flops_b, 2),
        hours=_rounded(size.cost.hours, 4),
        cost=_rounded(size.cost.money, 4),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _decision(decision: Decision) -> DecisionPart:
    return DecisionPart(
        checkpoint=decision.start.checkpoint,
        mode=decision.start.mode,
        expected_loss=round(decision.expected_loss, 4),
        num_starts=decision.num_starts,
        tied=decision.tied,
        tie_rule=decision.tie_rule,
        trials=_trial_value(decision.trials) if decision.trials else None,
    )


def _trial_value(value: TrialValue) -> TrialValue:
    hours = None if value.hours is None else round(value.hours, 3)
    return replace(value, gain=round(value.gain, 4), cost=round(value.cost, 2), hours=hours)


def _run_used(used: RunUsed) -> RunUsedPart:
    return RunUsedPart(
        run=used.run,
        target=used.target_name,
        same_target=used.same_target,
        checkpoint=used.start.checkpoint,
        mode=used.start.mode,
        epochs=used.epochs,
        imgsz=used.imgsz,
        train_images=used.num_train_images,
        score=round(used.score, 4),
        effect=round(used.effect, 4),
    )


def rounded(interval: Interval) -> Interval:
    """The interval to four digits."""
    mean, low, high = (round(value, 4) for value in (interval.mean, interval.low, interval.high))
    return replace(interval, mean=mean, low=low, high=high)


def _evidence(evidence: Evidence) -> EvidencePart:
    """The fields and the estimators' scores side by side, all of today's table named."""
    values = {name: getattr(evidence, name) for name in EvidencePart.model_fields}
    values |= {row.name: evidence.scores.get(row.name) for row in ESTIMATORS}
    return EvidencePart.model_validate(
        {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}
    )


def _trial(run: Run) -> TrialPart:
    return TrialPart(
        run=run.id,
        status=run.status,
        epochs=len(run.curve),
        score=run.best.score if run.best else None,
        seconds=round(run.seconds, 2),
    )
