"""A checkpoint as the JSON that the CLI and the HTTP service show."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recommender.records import Checkpoint, TransferCoverage


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything known of a checkpoint; unknown is null. No paths of this machine."""
    return {
        "name": checkpoint.name,
        "available": checkpoint.available,
        "origin": checkpoint.origin,
        "architecture": checkpoint.architecture,
        "family": checkpoint.family,
        "num_parameters": checkpoint.num_parameters,
        "licence": checkpoint.licence,
        "flops_b": checkpoint.flops_b,
        "task": checkpoint.task,
        "source": checkpoint.source_name,
        "source_hash": checkpoint.source_hash,
        "source_licence": checkpoint.source_licence,
        "source_images": checkpoint.source_images,
        "source_score": checkpoint.source_score,
        "classes": None if checkpoint.class_names is None else list(checkpoint.class_names),
        "train_imgsz": checkpoint.train_imgsz,
        "train_epochs": checkpoint.train_epochs,
        "from_scratch": checkpoint.from_scratch,
        "lineage": None if checkpoint.lineage is None else [asdict(step) for step in checkpoint.lineage],
        "sha256": checkpoint.sha256,
        "url": checkpoint.url,
        "attribution": checkpoint.attribution,
    }


def describe_coverage(found: TransferCoverage) -> dict[str, Any]:
    """The weights that would transfer to a target's model: shares by part, classes, and every layer."""
    return {
        "share": found.share(),
        **{part: found.share(part) for part in ("backbone", "neck", "head")},
        "classes_matched": found.classes_matched,
        "num_classes": found.num_classes,
        "layers": [
            {
                "layer": layer.layer,
                "module": layer.module,
                "part": layer.part,
                "num_parameters": layer.num_parameters,
                "num_transferred": layer.num_transferred,
            }
            for layer in found.layers
        ],
    }
