"""The published form of an answer: what `--json` prints, HTTP returns and the JSON schema describes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recommender.evidence import ESTIMATORS
from recommender.records import (
    Budget,
    Decision,
    Evidence,
    Notice,
    OmittedStart,
    Profile,
    Provenance,
    RankedStart,
    Recommendation,
    RunUsed,
    SplitCounts,
)
from recommender.report.headline import Headline, headline
from recommender.tasks import Task, task_definition
from recommender.text import unicode_text

ValueT = TypeVar("ValueT")
AS_ASKED = ("learning_rate", "fraction")  # fields whose numbers are never rounded


class Published(BaseModel):
    """Anything published. Stored names that no text can hold come out as `unicode_text` reads them."""

    @model_validator(mode="before")
    @classmethod
    def _as_text(cls, values: Any) -> Any:
        return {name: _text(value) for name, value in values.items()} if isinstance(values, dict) else values


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return unicode_text(value)
    return tuple(map(_text, value)) if isinstance(value, tuple) else value


class Document(Published):
    """A part of a published answer. Numbers are finite: JSON knows no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetPart(Document):
    """The target."""

    name: str
    task: Task = "detect"  # answers stored by version 0.1 name none
    hash: str = Field(description="Content hash: images, labels, splits and class names; not paths or times.")
    images: SplitCounts
    classes: tuple[str, ...]


class RecommendationDocument(Document):
    """A recommendation: starts ordered by expected loss, with reasons, warnings and provenance."""

    dataset: DatasetPart
    budget: Budget
    metric: str = Field(description='The metric of every score: "map50_95".')
    headline: Headline | None = Field(None, description="The answer in four lines.")
    decision: Decision | None = Field(None, description="What to take; null in answers of version 0.1.")
    level_supported: bool = Field(
        True, description="false: no run is near this budget, so only the order is worth trusting."
    )
    ranking: tuple[RankedStart, ...]
    folded: tuple[OmittedStart, ...] = Field(
        (), description="Starts to be fetched that promise hardly more than one in the ranking, best first."
    )
    rests_on: tuple[RunUsed, ...] = Field((), description="The runs with the largest effect, largest first.")
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
    train_command: str = Field("", description="`recommend train …` of the first start.")
    command: str = Field(description="`yolo detect train …` of the same recipe.")
    verdict: str | None = Field(None, description="What trials did to the answer; null where none ran.")
    provenance: Provenance


SHARED = RecommendationDocument.model_fields.keys() & {field.name for field in fields(Recommendation)}


def document(recommendation: Recommendation) -> RecommendationDocument:
    """The published form of a recommendation: its records, numbers rounded."""
    published = as_published(recommendation)
    profile = published.profile
    return RecommendationDocument(
        **{name: getattr(published, name) for name in SHARED},
        dataset=DatasetPart(
            name=profile.dataset_name,
            hash=profile.dataset_hash,
            task=profile.task,
            images=profile.num_images,
            classes=profile.class_names,
        ),
        metric=task_definition(published.task).metric.name,
        headline=headline(published),
    )


def as_published(recommendation: Recommendation) -> Recommendation:
    """The recommendation with numbers as in its document, so that text and pages read alike whenever they are drawn."""
    rows = tuple(replace(row, evidence=_complete(row.evidence)) for row in recommendation.ranking)
    shared = {name: rounded(getattr(recommendation, name)) for name in SHARED - {"ranking"}}
    return replace(recommendation, **shared, ranking=rounded(rows))


def restored(document: RecommendationDocument, profile: Profile) -> Recommendation:
    """The recommendation that was published so, for the profile of its data set: to draw pages long after the answer.

    Answers of version 0.1 know no decision; theirs is that the first start leads alone.
    """
    shared = {name: getattr(document, name) for name in SHARED}
    if document.decision is None:
        shared["decision"] = _first_alone(document)
    return Recommendation(**shared, profile=profile, task=document.dataset.task)


def _first_alone(document: RecommendationDocument) -> Decision:
    first = document.ranking[0]
    return Decision(
        start=first.start,
        expected_loss=first.expected_loss,
        num_starts=len(document.ranking),
        tied=(first.start,),
        tie_rule="",
        trials=None,
    )


def rounded(value: ValueT, digits: int = 4) -> ValueT:
    """The value with every number in it to so many digits, through records and tuples: evidence to six, rates whole."""
    if isinstance(value, float):
        return cast(ValueT, round(value, digits))
    if isinstance(value, tuple):
        return cast(ValueT, tuple(rounded(item, digits) for item in value))
    if isinstance(value, dict):
        return cast(
            ValueT, {key: item if key in AS_ASKED else rounded(item, digits) for key, item in value.items()}
        )
    if is_dataclass(value) and not isinstance(value, type):
        digits = 6 if isinstance(value, Evidence) else digits
        numbers = {name: item for name, item in vars(value).items() if name not in AS_ASKED}
        return replace(value, **{name: rounded(item, digits) for name, item in numbers.items()})
    return value


def _complete(evidence: Evidence) -> Evidence:
    """The evidence with a number, or None, for each of today's estimators."""
    return replace(evidence, scores={row.name: evidence.scores.get(row.name) for row in ESTIMATORS})
