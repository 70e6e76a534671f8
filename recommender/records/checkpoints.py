"""Checkpoints, the share of their weights that transfers, and starts: a checkpoint and a mode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recommender.starts import Mode
from recommender.tasks import Task

MAX_CHECKPOINT_NAME = 64  # characters


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """One earlier training in the history of a checkpoint's weights."""

    source_name: str  # of the data: "COCO"
    source_images: int | None = None
    source_hash: str | None = None
    checkpoint: str | None = None  # the weights that came out of it, where they are known by a name
    sha256: str | None = None  # of those weights: names may be given anew, this is what they are
    known_by: Literal["card", "user", "file", "run", "weights"] = "card"  # who says so: see docs/training.md


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights, architecture, and what is known of their training data and licence."""

    name: str
    origin: Literal["zoo", "catalogue", "registry"]
    architecture: str  # "yolo11n"
    family: str  # "yolo11"
    num_parameters: int | None = None
    class_names: tuple[str, ...] | None = None
    licence: str | None = None  # of the weights, SPDX where one exists
    source_name: str | None = None
    source_hash: str | None = None  # content hash of the source data set
    source_licence: str | None = None
    source_images: int | None = None
    source_score: float | None = None  # the task's primary metric on its own val split
    train_imgsz: int | None = None
    train_epochs: int | None = None
    from_scratch: bool = False  # known to have begun from random weights: its source is all it has seen
    sha256: str | None = None  # of the stored file
    url: str | None = None
    path: Path | None = None  # the safetensors file here, None while not fetched
    attribution: str | None = None
    task: Task = "detect"
    # That its own head is for, where it is none of ours: "pose", "obb"; then it counts as a detector.
    foreign_task: str | None = None
    owner: str | None = None  # of the service's key that brought it; None: the user of this machine
    kept: bool = True  # False: a file that was named once, which takes part only where it is named
    lineage: tuple[TrainingStep, ...] | None = (
        None  # trainings before its own, the first first; (): began randomly
    )
    flops_b: float | None = None  # 10^9 operations for one image of 640 × 640 pixels

    @property
    def available(self) -> bool:
        """True if the weights are on this machine."""
        return self.path is not None


@dataclass(frozen=True, kw_only=True)
class LayerTransfer:
    """The share of one top-level layer of the target's model that a checkpoint fills."""

    layer: int
    module: str  # "C3k2"
    part: Literal["backbone", "neck", "head"]
    num_parameters: int
    num_transferred: int


@dataclass(frozen=True, kw_only=True)
class TransferCoverage:
    """The weights of a checkpoint that transfer to the target's model, computed per tensor."""

    layers: tuple[LayerTransfer, ...]
    classes_matched: int  # class rows of the head that keep their meaning
    num_classes: int  # of the target

    def share(self, part: str | None = None) -> float:
        """Share of parameters transferred, of one part or of all; 0 when there are none."""
        chosen = [layer for layer in self.layers if part is None or layer.part == part]
        total = sum(layer.num_parameters for layer in chosen)
        return sum(layer.num_transferred for layer in chosen) / total if total else 0.0

    def incomplete(self, *, below: int) -> tuple[LayerTransfer, ...]:
        """The layers before this one that are not transferred whole."""
        return tuple(
            layer
            for layer in self.layers
            if layer.layer < below and layer.num_transferred < layer.num_parameters
        )


@dataclass(frozen=True, kw_only=True, order=True)
class Start:
    """A checkpoint and a mode. Random weights are checkpoint "scratch", mode "scratch"."""

    checkpoint: str
    mode: Mode

    @property
    def start(self) -> Start:
        """The start alone, as a key: without the fields of a ranked or an omitted one."""
        return Start(checkpoint=self.checkpoint, mode=self.mode)

    def __str__(self) -> str:
        return self.checkpoint if self.mode == "scratch" else f"{self.checkpoint}:{self.mode}"
