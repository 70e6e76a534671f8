"""Types shared by the request and response bodies."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from recommender.report.document import Published

DatasetId = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$", examples=["ds_5d41402abc4b2a76"])
]
CheckpointName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
NoRoots = Annotated[
    tuple[()], Field(max_length=0)
]  # paths of the service's machine are the operator's business


class Body(BaseModel):
    """A request body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=4096, allow_inf_nan=False)


class Answer(Published):
    """A response body."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
