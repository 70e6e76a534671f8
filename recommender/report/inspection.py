"""The health of a data set: tables for people, one document for programs."""

from __future__ import annotations

import json

from pydantic import ConfigDict
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recommender.datasets.inspection import Copy, Inspection, SplitHealth
from recommender.records import Defect
from recommender.report.document import Document
from recommender.tasks import task_definition
from recommender.text import counted, printable

CLASSES_SHOWN = 40
BAR_WIDTH = 20  # characters
COLOURS = {"error": "bold red", "warning": "yellow", "info": "dim"}
MARKS = {"error": "✗", "warning": "!", "info": "·"}


class InspectedDataset(Document):
    """The data set that was inspected. Images and boxes are counted by split."""

    model_config = ConfigDict(extra="ignore")  # services read inspections that other versions stored

    name: str
    format: str
    task: str = "detect"  # inspections of version 0.1 name none
    hash: str
    classes: tuple[str, ...]
    split_origin: str
    images: dict[str, int]
    boxes: dict[str, int]


class InspectionDocument(Document):
    """An inspection, as `recommend datasets inspect --json` prints it."""

    model_config = ConfigDict(extra="ignore")

    dataset: InspectedDataset
    healthy: bool
    num_duplicates: int
    num_leaks: int
    splits: tuple[SplitHealth, ...]
    defects: tuple[Defect, ...]
    copies: tuple[Copy, ...]

    def to_json(self) -> str:
        """The document in ASCII: names come from other people's files, and JSON escapes what is not plain."""
        return json.dumps(self.model_dump(mode="json"))


def inspection_document(inspection: Inspection) -> InspectionDocument:
    """The whole inspection, names as they are."""
    leaks = sum(copy.leak for copy in inspection.copies)
    return InspectionDocument(
        dataset=InspectedDataset(
            name=inspection.dataset_name,
            format=inspection.format,
            task=inspection.task,
            hash=inspection.content_hash,
            classes=inspection.class_names,
            split_origin=inspection.split_origin,
            images={health.split: health.num_images for health in inspection.splits},
            boxes={health.split: health.num_boxes for health in inspection.splits},
        ),
        healthy=inspection.healthy,
        num_duplicates=len(inspection.copies) - leaks,
        num_leaks=leaks,
        splits=inspection.splits,
        defects=inspection.defects,
        copies=inspection.copies,
    )


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Draw the inspection on `console`."""
    console.print(_head(inspection))
    console.print(_splits(inspection))
    console.print(_classes(inspection))
    console.print(_defects(inspection), soft_wrap=True)


def _head(inspection: Inspection) -> Text:
    origin = "given" if inspection.split_origin == "given" else "divided here, by content and seed"
    return Text.assemble(
        ("\n" + printable(inspection.dataset_name), "bold"),
        f"  {task_definition(inspection.task).name_in_full}: {inspection.format}, "
        f"{counted(len(inspection.class_names), 'class')}; splits {origin}\n",
        (f"content {inspection.content_hash[:16]}", "dim"),
    )


def _splits(inspection: Inspection) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("split")
    task = task_definition(inspection.task)
    things = task.objects
    titles: tuple[str, ...] = ("images", "image, px")
    if not task.whole_images:
        titles = (
            "images",
            things,
            "background",
            f"{things}/image",
            "box side, px",
            "box ÷ image",
            "image, px",
        )
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for health in inspection.splits:
        objects = (
            f"{health.num_boxes:,}",
            f"{health.num_background:,}",
            _spread(health.boxes_per_image_Q, "{:.0f}"),
            _spread(health.box_sides_Q, "{:.0f}"),
            _spread(health.box_sizes_Q, "{:.2f}"),
        )
        shown = () if task.whole_images else objects
        table.add_row(health.split, f"{health.num_images:,}", *shown, _image_size(health))
    if task.whole_images:
        return table
    table.caption = "median (5 % to 95 %)"
    table.caption_justify = "right"
    return table


def _spread(values_Q: tuple[float, ...], form: str) -> str:
    if not values_Q:
        return ""
    low, _, median, _, high = (form.format(value) for value in values_Q)
    return median if low == high else f"{median} ({low} to {high})"


def _image_size(health: SplitHealth) -> str:
    return f"{health.image_widths_Q[2]:.0f} × {health.image_heights_Q[2]:.0f}"


def _classes(inspection: Inspection) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", max_width=40, overflow="ellipsis", no_wrap=True)
    for health in inspection.splits:
        table.add_column(health.split, justify="right")
    table.add_column(f"share of {task_definition(inspection.task).objects}", no_wrap=True)
    totals = [sum(counts) for counts in zip(*(h.class_counts for h in inspection.splits), strict=True)]
    every, most = sum(totals) or 1, max(totals, default=0) or 1
    order = sorted(range(len(totals)), key=lambda index: (-totals[index], index))
    for index in order[:CLASSES_SHOWN]:
        bar = "█" * round(BAR_WIDTH * totals[index] / most) or ("▏" if totals[index] else "")
        table.add_row(
            Text(printable(inspection.class_names[index], limit=60)),
            *(f"{health.class_counts[index]:,}" for health in inspection.splits),
            Text.assemble((f"{bar:<{BAR_WIDTH}} ", "cyan"), f"{totals[index] / every:.1%}"),
        )
    if len(order) > CLASSES_SHOWN:
        table.add_row(f"… and {len(order) - CLASSES_SHOWN} more", *[""] * (len(inspection.splits) + 1))
    return table


def _defects(inspection: Inspection) -> Text:
    if not inspection.defects:
        return Text("✓ no defect, no duplicate, no leak found", style="green")
    return Text("\n").join(_defect(defect) for defect in inspection.defects)


def _defect(defect: Defect) -> Text:
    colour = COLOURS[defect.severity]
    text = Text.assemble(
        (f"{MARKS[defect.severity]} {defect.kind}", colour),
        f"  {defect.count:,}  ",
        (defect.remedy, "italic"),
    )
    for example in defect.examples[:3]:
        text.append(f"\n    {printable(example)}", style="dim")
    return text
