"""Checkpoints on a terminal: the list, the facts and layers of one, and one in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from recommender.cli.console import out
from recommender.tasks import task_definition
from recommender.text import counted, printable

if TYPE_CHECKING:
    from recommender.records import Checkpoint, TrainingStep, TransferCoverage
    from recommender.report.checkpoints import CheckpointSummary


def print_table(checkpoints: list[Checkpoint]) -> None:
    """List the checkpoints on stdout, one row a file."""
    from recommender.checkpoints import names_of_files

    table = Table(
        "checkpoint", "here", "from", "architecture", "licence", "trained on", box=None, pad_edge=False
    )
    for heading in ("parameters", "classes", "score*"):
        table.add_column(heading, justify="right")
    names = names_of_files(checkpoints)
    for entry in checkpoints:
        if names[entry.name][0] != entry.name:
            continue  # in the row of the first name
        score = entry.source_score
        cells = (
            " = ".join(names[entry.name]),
            "yes" if entry.available else "no",
            entry.origin,
            entry.architecture,
            entry.licence or "unknown",
            entry.source_name or "unknown",
            "unknown" if entry.num_parameters is None else f"{entry.num_parameters / 1e6:.1f} M",
            "unknown" if entry.class_names is None else str(len(entry.class_names)),
            "" if score is None else f"{score:.3f}",
        )
        table.add_row(*(_folding(printable(cell, limit=40)) for cell in cells))
    console = out()
    console.print(table)
    console.print(
        "* on the val images of its own data, as its makers report it: mAP50-95 of detectors, mask mAP50-95 of "
        "segmenters, top-1 accuracy of classifiers",
        style="dim",
    )


def print_facts(facts: CheckpointSummary) -> None:
    """Print every field of one checkpoint on stdout."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in facts:
        if key == "lineage":
            table.add_row(key, _folding(printable(_chain(facts.lineage), limit=1000)))
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        table.add_row(key, _folding("unknown" if shown is None else printable(shown, limit=1000)))
    out().print(table)


def _chain(lineage: Sequence[TrainingStep] | None) -> str:
    """Its trainings in their order: "COCO 118,287 images (coco-yolo11n)", …"""
    if lineage is None:
        return "unknown"
    steps = []
    for step in lineage:
        size = "" if step.source_images is None else f" {counted(step.source_images, 'image')}"
        weights = "" if step.checkpoint is None else f" ({step.checkpoint})"
        steps.append(f"{step.source_name}{size}{weights}")
    return " → ".join(steps or ["random weights"]) + " → its own data"


def print_layers(found: TransferCoverage) -> None:
    """Print the layers of a model on stdout, and how much of each transfers."""
    table = Table("layer", "part", "module", box=None, pad_edge=False)
    table.add_column("parameters", justify="right")
    table.add_column("transferred", justify="right")
    for layer in found.layers:
        share = layer.num_transferred / layer.num_parameters
        table.add_row(str(layer.layer), layer.part, layer.module, f"{layer.num_parameters:,}", f"{share:.1%}")
    shares = ", ".join(f"{part} {found.share(part):.1%}" for part in ("backbone", "neck", "head"))
    console = out()
    console.print(table)
    console.print(
        f"transferred: {found.share():.1%} of the parameters ({shares}); "
        f"{found.classes_matched} of {counted(found.num_classes, 'class')} known"
    )


def summary(checkpoint: Checkpoint) -> str:
    """One checkpoint in one line: task, architecture, classes, data and licence."""
    classes = (
        "classes unknown" if checkpoint.class_names is None else counted(len(checkpoint.class_names), "class")
    )
    source = printable(checkpoint.source_name or "unknown data", limit=60)
    licence = printable(checkpoint.licence or "unknown", limit=60)
    noun = task_definition(checkpoint.task).noun
    return f"{noun} {checkpoint.architecture}, {classes}, trained on {source}, licence {licence}"


def _folding(text: str) -> Any:
    """Text that goes on in the next line where its column is too narrow."""
    return Text(text, overflow="fold")
