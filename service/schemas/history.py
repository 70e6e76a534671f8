"""Bodies of the routes of checkpoints and runs, as in the command line's `--json`."""

from __future__ import annotations

from recommender.report.checkpoints import ListedCheckpoint
from recommender.report.runs import RunSummary
from service.schemas.common import Answer


class CheckpointList(Answer):
    """Checkpoints: built in, registered, public."""

    checkpoints: tuple[ListedCheckpoint, ...]
    next: str | None = None


class RunList(Answer):
    """Runs, newest first."""

    runs: tuple[RunSummary, ...]
    next: str | None = None
