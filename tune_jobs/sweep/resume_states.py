"""Resume states that trials leave on the driver's node after an epoch: a trial whose node dies goes on from there."""

from __future__ import annotations

import re
from pathlib import Path

from recommender.errors import StorageError
from recommender.home import home

ID_FORM = re.compile(r"[0-9a-f]{8,64}")


def state_name(id: str) -> str:
    """The file of that run's state below home. Raises StorageError for what is no run id."""
    return f"states/{require_run_id(id)}.pt"


def state_path(id: str) -> Path:
    """The state of that run, there or not. Raises StorageError for what is no run id."""
    return home() / state_name(id)


def require_run_id(id: str) -> str:
    """The id itself. Raises StorageError for what is none, before it becomes part of a path."""
    if not ID_FORM.fullmatch(id):
        raise StorageError(f"{id!r} is no run id.")
    return id


def drop_state(id: str) -> None:
    """The run has finished: its state is of no more use."""
    state_path(id).unlink(missing_ok=True)
