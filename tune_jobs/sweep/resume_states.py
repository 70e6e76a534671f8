"""Resume states that trials leave on the driver's node after an epoch: a trial whose node dies goes on from there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from recommender.atomic_files import replacing
from recommender.errors import StorageError
from recommender.home import subfolder

ID_FORM = re.compile(r"[0-9a-f]{8,64}")


def state_path(id: str) -> Path:
    """The state of that run, there or not. Raises StorageError for what is no run id."""
    return subfolder("states") / f"{require_run_id(id)}.pt"


def require_run_id(id: str) -> str:
    """The id itself. Raises StorageError for what is none, before it becomes part of a path."""
    if not ID_FORM.fullmatch(id):
        raise StorageError(f"{id!r} is no run id.")
    return id


def keep_state(id: str, source: Path) -> None:
    """Keep a copy, whole or not at all."""
    keep_whole(source, state_path(id))


def keep_whole(source: Path, target: Path) -> None:
    """A copy of a file that nobody writes into any more, at once or not at all."""
    with replacing(target) as part:
        try:
            os.link(source, part)  # the training replaces its file, it never writes into it
        except OSError:
            shutil.copyfile(source, part)


def take_state(id: str, target: Path) -> bool:
    """Copy the state kept to `target`; False when there is none."""
    try:
        shutil.copyfile(state_path(id), target)
    except FileNotFoundError:
        return False
    return True


def drop_state(id: str) -> None:
    """The run has finished: its state is of no more use."""
    state_path(id).unlink(missing_ok=True)
