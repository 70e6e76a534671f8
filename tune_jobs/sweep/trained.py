"""Files of the best weights of trials, kept on the driver's node when asked for."""

from __future__ import annotations

from pathlib import Path

from recommender.home import subfolder
from tune_jobs.sweep.resume_states import keep_whole, require_run_id


def trained_path(id: str) -> Path:
    """The best weights of that run, there or not. Raises StorageError for what is no run id."""
    return subfolder("trained") / f"{require_run_id(id)}.safetensors"


def keep_trained(id: str, source: Path) -> None:
    """Keep a copy, whole or not at all."""
    keep_whole(source, trained_path(id))
