"""Bodies of the routes of trainings."""

from __future__ import annotations

from pydantic import ConfigDict, Field, field_validator
from pydantic.json_schema import SkipJsonSchema

from recommender.report.runs import TrainingDocument
from recommender.requests import TrainingRequest
from service.schemas.common import Answer, DatasetId, NoRoots


class TrainingBody(TrainingRequest):
    """The options of `recommend train`; without `start`, the first start of `recommendation` or of the latest one."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"dataset": "ds_5d41402abc4b2a76", "start": "coco:full", "epochs": 50, "imgsz": 640}
        }
    )

    dataset: DatasetId
    recommendation: str | None = Field(None, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    allow_roots: SkipJsonSchema[NoRoots] = ()

    @field_validator("start")
    @classmethod
    def _by_name(cls, start: str | None) -> str | None:
        if start is not None and not (start and all(char.isalnum() or char in "._-:" for char in start)):
            raise ValueError("a start is written NAME:MODE, for instance coco:full")
        return start


class TrainingAnswer(TrainingDocument):
    """A full training: what `recommend train --json` prints, and what was asked."""

    dataset: str | None = Field(description="Id of the data set; null when it was given back.")
    dataset_name: str
    start: str
    epochs: int
    imgsz: int
    name: str = Field(description="Of the checkpoint that comes out.")
    files: tuple[str, ...] = Field(
        (), description="What a finished training has left, each at /v1/trainings/ID/files/NAME."
    )


class TrainingList(Answer):
    """Trainings, newest first."""

    trainings: tuple[TrainingAnswer, ...]
    next: str | None = None
