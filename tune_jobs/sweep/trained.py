"""Files of the best weights of trials, kept on the driver's node when asked for."""

from __future__ import annotations

from pathlib import Path

from recommender.home import home
from tune_jobs.sweep.resume_states import require_run_id


def trained_name(id: str) -> str:
    """The file of that run's best weights below home. Raises StorageError for what is no run id."""
    return f"trained/{require_run_id(id)}.safetensors"


def trained_path(id: str) -> Path:
    """The best weights of that run, there or not. Raises StorageError for what is no run id."""
    return home() / trained_name(id)
