"""Where this project keeps its own files: the store, caches, fetched and registered weights."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """`RECOMMENDER_HOME`, or the platform's data folder. Created when first asked for."""
    chosen = os.environ.get("RECOMMENDER_HOME")
    folder = Path(chosen) if chosen else Path(platformdirs.user_data_dir("checkpoint-recommender"))
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def subfolder(name: str) -> Path:
    """A folder of ours below home, created when absent."""
    folder = home() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
