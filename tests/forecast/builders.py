"""Situations made by hand: data sets as points on a circle, so that their similarity is known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from recommender.forecast.situation import Observation, Situation
from recommender.records import (
    SCRATCH,
    Budget,
    Checkpoint,
    Evidence,
    Mode,
    Profile,
    Recipe,
    SplitCounts,
    Start,
)
from tests.store import builders


def profile(name: str, angle: float, *, train: int = 150) -> Profile:
    """A data set whose embedding stands at `angle`; two of them differ by 2 − 2·cos of the difference."""
    direction = np.array([math.cos(angle), math.sin(angle)], dtype=np.float32) * math.sqrt(0.5)
    return replace(
        builders.profile(name, encoder="circle", images=0),
        dataset_hash=f"hash-{name}",
        class_names=("thing",),
        class_counts=(train,),
        num_images=SplitCounts(train=train, val=30),
        num_objects=train,
        box_sizes_Q=(0.05, 0.08, 0.1, 0.2, 0.3),
        embedding_D=np.concatenate([direction, direction]),
        embedding_noise=(0.0, 0.0),
        object_vectors_MK=np.zeros((0, 2), dtype=np.float32),
        object_classes_M=np.zeros(0, dtype=np.int64),
        object_images=(),
    )


def checkpoint(name: str, *, images: int = 3000, licence: str | None = "MIT") -> Checkpoint:
    """A YOLO11n checkpoint of the source of the same name."""
    return Checkpoint(
        name=name,
        origin="registry",
        architecture="yolo11n",
        family="yolo11",
        num_parameters=2_600_000,
        class_names=("thing",),
        licence=licence,
        source_name=name,
        source_hash=f"hash-{name}",
        source_licence=licence,
        source_images=images,
        source_score=0.4,
        sha256=f"sha-{name}",
    )


def situation(
    target: Profile,
    source: Profile | None,
    *,
    mode: Mode = "full",
    evidence: Evidence | None = None,
    epochs: int = 50,
    images: int = 3000,
) -> Situation:
    """One start on `target`; `source` None is scratch."""
    name = source.dataset_name if source else SCRATCH
    similarity = None
    if source is not None:
        difference = target.embedding_D - source.embedding_D
        similarity = 1.0 - float(difference @ difference)
    return Situation(
        target=target,
        num_train_images=target.num_images.train,
        budget=Budget(epochs=epochs, imgsz=320),
        start=Start(checkpoint=name, mode=mode if source else "scratch"),
        checkpoint=checkpoint(name, images=images) if source else None,
        source=source,
        evidence=evidence or Evidence(similarity=similarity, class_overlap=0.0, backbone_transferred=1.0),
    )


def observation(of: Situation, score: float) -> Observation:
    """A finished run of a situation."""
    only = builders.point(1, score)
    run = builders.run(
        f"{of.target.dataset_name}-{of.start}",
        target=of.target.dataset_hash,
        target_name=of.target.dataset_name,
        start=of.start,
        weights_sha256=of.checkpoint.sha256 if of.checkpoint else None,
        source_hash=of.source.dataset_hash if of.source else None,
        recipe=Recipe(epochs=of.budget.epochs, imgsz=of.budget.imgsz),
        num_train_images=of.num_train_images,
        curve=(only,),
        best=only,
        seconds=1.0,
    )
    return Observation(situation=of, run=run)
