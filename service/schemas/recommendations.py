"""Bodies of the routes of recommendations."""

from __future__ import annotations

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from recommender.records import Budget, Notice, Provenance
from recommender.report.document import (
    DatasetPart,
    DecisionPart,
    FoldedPart,
    RankedPart,
)
from recommender.report.headline import Headline
from recommender.requests import RecommendRequest
from service.problems import Problem
from service.schemas.common import Answer, CheckpointName, DatasetId, NoRoots, Status


class RecommendationBody(RecommendRequest):
    """The options of `recommend --dataset`, with the id of a data set instead of its path."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"dataset": "ds_5d41402abc4b2a76", "epochs": 50, "imgsz": 640}}
    )

    dataset: DatasetId
    checkpoints: tuple[CheckpointName, ...] = Field(
        (), max_length=64
    )  # names only: never a path of this machine
    allow_roots: SkipJsonSchema[NoRoots] = ()


class RecommendationAnswer(Answer):
    """A recommendation; the fields of `recommend --json` are there once it has succeeded."""

    id: str
    status: Status
    dataset_id: str
    created_at: str
    finished_at: str | None = None
    problem: Problem | None = None
    dataset: DatasetPart | None = None
    budget: Budget | None = None
    headline: Headline | None = None
    decision: DecisionPart | None = None
    level_supported: bool = True
    ranking: tuple[RankedPart, ...] | None = None
    warnings: tuple[Notice, ...] | None = None
    notes: tuple[Notice, ...] = ()
    method: str | None = None
    device: str | None = None
    limits: tuple[str, ...] = ()
    max_latency_ms: float | None = None
    max_hours: float | None = None
    max_flops_b: float | None = None
    folded: tuple[FoldedPart, ...] = ()
    train_command: str | None = None
    command: str | None = None
    provenance: Provenance | None = None


class RecommendationSummary(Answer):
    """A recommendation in a list."""

    id: str
    status: Status
    dataset_id: str
    epochs: int
    imgsz: int | None = Field(
        None, description="Pixels; null where each start is asked about at its best size."
    )
    created_at: str
    finished_at: str | None = None


class RecommendationList(Answer):
    """Recommendations, newest first."""

    recommendations: tuple[RecommendationSummary, ...]
    next: str | None = None
