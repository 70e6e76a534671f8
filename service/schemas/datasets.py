"""Bodies of the routes of data sets, neighbours and the map."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from recommender.records import SplitCounts
from recommender.report.inspection import InspectionDocument
from recommender.requests import AskedTask
from recommender.tasks import Task
from service.schemas.common import Answer, Body, DatasetId


class DatasetByPath(Body):
    """A data set that lies on the service's machine, below a folder the operator allowed."""

    model_config = ConfigDict(json_schema_extra={"example": {"path": "/data/masks", "name": "masks"}})

    path: str = Field(min_length=1, max_length=4096)
    name: str | None = Field(None, min_length=1, max_length=200)
    task: AskedTask = None


class InspectionFailed(Answer):
    """The reason why a data set could not be inspected."""

    error: str


class DatasetAnswer(Answer):
    """A data set given to the service."""

    id: DatasetId
    name: str
    hash: str = Field(description="Content hash: images, labels, splits and class names; not paths or times.")
    origin: Literal["upload", "path"]
    format: str
    classes: tuple[str, ...]
    images: SplitCounts
    objects: int
    task: Task | None = Field(description="What it is read for; null where a version before 0.2 took it in.")
    task_note: str | None = Field(
        None,
        description="Why, where its labels look as if they were for another task; null where there is no question.",
    )
    names_note: str | None = Field(
        None, description="What to do about names that are no text, as a version before 0.2 stored them."
    )
    created_at: str
    profiled: bool = Field(description="Whether a recommendation for it is answered at once.")
    health: InspectionDocument | InspectionFailed | None = Field(
        None, description="What `recommend datasets inspect --json` says; null until it has been looked at."
    )


class DatasetList(Answer):
    """Data sets, newest first."""

    datasets: tuple[DatasetAnswer, ...]
    next: str | None = Field(None, description="Cursor of the next page; null at the end.")


class MapPlace(Answer):
    """One data set on the map."""

    hash: str
    name: str
    x: float
    y: float
    images: int
    kind: Literal["target", "source", "held"]
    checkpoints: tuple[str, ...] = ()


class MapAnswer(Answer):
    """Data sets in two dimensions; near ones are similar."""

    generation: str = Field(description="Changes with every profile; all places are of one generation.")
    places: tuple[MapPlace, ...]


class NearObject(Answer):
    """An object of a source that is similar to one of the target's."""

    source: str
    image: str
    class_name: str
    cosine: float
    picture: str | None = Field(
        None, description="Address of a small picture of that image, where there is one."
    )


class NearPair(Answer):
    """One of the target's images and the most similar objects of sources."""

    image: str
    class_name: str
    picture: str | None
    nearest: tuple[NearObject, ...]


class SimilarSource(Answer):
    """A similar data set."""

    name: str
    hash: str
    similarity: float
    checkpoints: tuple[str, ...]


class NeighboursAnswer(Answer):
    """Similar data sets, and pairs of similar objects."""

    generation: str
    sources: tuple[SimilarSource, ...]
    pairs: tuple[NearPair, ...]
