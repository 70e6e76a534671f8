"""Bodies of the routes of sweeps."""

from __future__ import annotations

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from recommender.records import JobStatus
from recommender.requests import SweepRequest
from service.schemas.common import Answer, CheckpointName, DatasetId, NoRoots
from tune_jobs.sweep.documents import SweepCost, SweepDocument


class SweepBody(SweepRequest):
    """The options of `recommend sweep`, with ids of data sets instead of paths; the operator sets where it runs."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "datasets": ["ds_5d41402abc4b2a76"],
                "checkpoints": ["coco"],
                "epochs": 10,
                "budget": "30m",
            }
        }
    )

    datasets: tuple[DatasetId, ...] = Field(min_length=1, max_length=256)
    checkpoints: tuple[CheckpointName, ...] = Field((), max_length=256)
    address: SkipJsonSchema[None] = None
    storage: SkipJsonSchema[None] = None
    allow_roots: SkipJsonSchema[NoRoots] = ()


class SweepAnswer(Answer):
    """A sweep as it stands."""

    id: str
    status: JobStatus
    datasets: int = Field(description="How many.")
    dataset_names: tuple[str, ...]
    modes: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: int
    imgsz: int | None = Field(description="null: the usual one of each data set's task.")
    budget: str | None = Field(description="The hard cap it runs under.")
    cost: SweepCost | None = Field(
        description="What was spent so far, and how many trials wait, run and ended."
    )
    result: SweepDocument | None = Field(
        description="What `recommend sweep --json` prints, once it has ended."
    )
    cancel_requested: bool
    error: str | None
    created_at: str
    ended_at: str | None


class SweepList(Answer):
    """Sweeps, newest first."""

    sweeps: tuple[SweepAnswer, ...]
    next: str | None = None
