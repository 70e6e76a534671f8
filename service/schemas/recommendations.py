"""Bodies of the routes of recommendations."""

from __future__ import annotations

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from recommender.records import JobStatus
from recommender.report.document import RecommendationDocument
from recommender.requests import RecommendRequest
from service.problems import Problem
from service.schemas.common import Answer, CheckpointName, DatasetId, NoRoots


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


class RecommendationStatus(Answer):
    """A recommendation that is waited for, failed or cancelled."""

    id: str
    status: JobStatus
    dataset_id: str
    created_at: str
    finished_at: str | None = None
    problem: Problem | None = None


class RecommendationAnswer(RecommendationStatus, RecommendationDocument):
    """A recommendation that has succeeded, with the fields of `recommend --json`."""


class RecommendationSummary(Answer):
    """A recommendation in a list."""

    id: str
    status: JobStatus
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
