"""Checkpoints: the public catalogue, the user's registry, the built-in zoo, and what of them transfers."""

from recommender.checkpoints.catalogue import catalogue
from recommender.checkpoints.coverage import coverage, require_filled, require_freezable
from recommender.checkpoints.cross_task import require_for_task, that_fit
from recommender.checkpoints.export import export_pt, restore_model
from recommender.checkpoints.fetching import fetch
from recommender.checkpoints.files import load_state, verify
from recommender.checkpoints.registry import (
    COCO,
    COCO_NAMES,
    RECOVERED_FROM,
    REFERENCE_NAMES,
    add_checkpoint,
    all_checkpoints,
    check_name,
    get_checkpoint,
    located,
    names_of_files,
    remove_checkpoint,
)
from recommender.checkpoints.zoo import zoo
from recommender.families.ultralytics.models import build_model
from recommender.families.ultralytics.transfer import transfer

__all__ = [
    "COCO",
    "COCO_NAMES",
    "RECOVERED_FROM",
    "REFERENCE_NAMES",
    "add_checkpoint",
    "all_checkpoints",
    "build_model",
    "catalogue",
    "check_name",
    "coverage",
    "export_pt",
    "fetch",
    "get_checkpoint",
    "load_state",
    "located",
    "names_of_files",
    "remove_checkpoint",
    "require_filled",
    "require_for_task",
    "require_freezable",
    "restore_model",
    "that_fit",
    "transfer",
    "verify",
    "zoo",
]
