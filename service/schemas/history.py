"""Bodies of the routes of checkpoints and runs, as in the command line's `--json`."""

from __future__ import annotations

from typing import Literal

from recommender.report.runs import RunSummary
from service.schemas.common import Answer


class CheckpointAnswer(Answer):
    """A checkpoint: built in, registered, or known from the public catalogue; unknown is null."""

    name: str
    available: bool
    origin: Literal["zoo", "catalogue", "registry"]
    architecture: str
    family: str
    num_parameters: int | None
    licence: str | None
    source: str | None
    source_hash: str | None
    source_licence: str | None
    source_images: int | None
    source_score: float | None
    classes: tuple[str, ...] | None
    train_imgsz: int | None
    train_epochs: int | None
    from_scratch: bool
    sha256: str | None
    url: str | None
    attribution: str | None


class CheckpointList(Answer):
    """Checkpoints: built in, registered, public."""

    checkpoints: tuple[CheckpointAnswer, ...]
    next: str | None = None


class RunList(Answer):
    """Runs, newest first."""

    runs: tuple[RunSummary, ...]
    next: str | None = None
