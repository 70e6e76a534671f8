"""Where this project keeps its own files: the store, caches, fetched and registered weights."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from recommender.errors import StorageError


def home() -> Path:
    """`RECOMMENDER_HOME`, or the platform's data folder. Created when first asked for. Raises StorageError."""
    chosen = os.environ.get("RECOMMENDER_HOME")
    folder = Path(chosen) if chosen else Path(platformdirs.user_data_dir("checkpoint-recommender"))
    folder = folder.expanduser().absolute()
    return _made(folder)


def subfolder(name: str) -> Path:
    """A folder of ours below home, created when absent."""
    return _made(home() / name)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a file lies there, or the disk is read-only or full
        raise StorageError(
            f"{folder} cannot be a folder of ours: {error.strerror}.",
            remedy="Set RECOMMENDER_HOME to a folder that can be written to.",
        ) from error
    return folder
