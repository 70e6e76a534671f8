"""The published form of checkpoints: what `--json` prints and HTTP returns. No paths of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from recommender.checkpoints import names_of_files
from recommender.records import Checkpoint, LayerTransfer, TrainingStep, TransferCoverage
from recommender.records.fields import same_fields
from recommender.report.document import Document
from recommender.tasks import Task


class CheckpointSummary(Document):
    """A checkpoint: built in, registered, or known from the public catalogue; unknown is null."""

    name: str
    available: bool = Field(description="Whether the weights are on the machine that answers.")
    origin: Literal["zoo", "catalogue", "registry"]
    architecture: str
    family: str
    num_parameters: int | None
    licence: str | None
    flops_b: float | None = Field(description="10^9 operations for one image of 640 × 640 pixels.")
    task: Task
    foreign_task: str | None = Field(
        description='What its own head is for where that is not served, "pose" or "obb"; it counts as a detector.'
    )
    source: str | None
    source_hash: str | None
    source_licence: str | None
    source_images: int | None
    source_score: float | None = Field(description="The task's metric on the source's own val split.")
    classes: tuple[str, ...] | None
    train_imgsz: int | None
    train_epochs: int | None
    from_scratch: bool
    lineage: tuple[TrainingStep, ...] | None = Field(description="Trainings before its own, the first first.")
    sha256: str | None
    url: str | None
    attribution: str | None


class ListedCheckpoint(CheckpointSummary):
    """A checkpoint in a list: one row a file, whatever its names."""

    aliases: tuple[str, ...] = Field(description="Other names of the same file.")


class TransferDocument(Document):
    """The weights that would transfer to a target's model: shares by part, classes, and every layer."""

    share: float = Field(description="Of all parameters, in [0, 1].")
    backbone: float
    neck: float
    head: float
    classes_matched: int
    num_classes: int
    layers: tuple[LayerTransfer, ...]


def checkpoint_summary(checkpoint: Checkpoint) -> CheckpointSummary:
    """Everything known of a checkpoint."""
    same = same_fields(CheckpointSummary, checkpoint)
    return CheckpointSummary(**same, source=checkpoint.source_name, classes=checkpoint.class_names)


def listed_checkpoints(
    checkpoints: Sequence[Checkpoint], known: Sequence[Checkpoint]
) -> tuple[ListedCheckpoint, ...]:
    """Everything known of each checkpoint, with the other names that its file has."""
    names = names_of_files(known)
    return tuple(
        ListedCheckpoint(
            **checkpoint_summary(one).model_dump(),
            aliases=tuple(name for name in names[one.name] if name != one.name),
        )
        for one in checkpoints
    )


def transfer_document(found: TransferCoverage) -> TransferDocument:
    """A coverage with its shares worked out."""
    return TransferDocument(
        **same_fields(TransferDocument, found) | {"share": found.share()},
        backbone=found.share("backbone"),
        neck=found.share("neck"),
        head=found.share("head"),
    )
