"""Tables of images as they were understood, and which of several are read: those of splits, and of folds the first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.raw import Corners
from recommender.datasets.split_names import split_of_file, split_of_title, without_trainval
from recommender.datasets.tables.box_readings import Reading
from recommender.records import Split


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """An image, with its class or with boxes of a class, four numbers each; no box says that the image is empty."""

    reference: str
    label: str
    split: Split | None
    boxes: Sequence[Corners] = ()
    size: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class ImageTable:
    """A table of images: with a class for each, or with boxes that may be meant in several ways, with or without."""

    path: Path
    rows: Sequence[ImageRow]
    folds: Sequence[str]  # headings of splits by number
    readings: tuple[Reading, ...] = ()
    classed: bool = True
    unsure: Sequence[
        str
    ] = ()  # headings of numbers that may be the class of boxes, where no column surely is


def of_splits(tables: Sequence[ImageTable], root: Path) -> list[ImageTable]:
    """These tables; those called after splits alone where train is among them, without those of train and val."""
    splits = {table.path: split_of_file(table.path, root) for table in tables}
    trained = "train" in splits.values()
    kept = set(without_trainval(path for path, split in splits.items() if split or not trained))
    return [table for table in tables if table.path in kept]


def of_first_fold(tables: Sequence[ImageTable], disk: Disk, log: DefectLog) -> list[ImageTable]:
    """These tables; of numbered folds the first, which is told, and which columns of folds are not used.

    Folds are those where train of one names images that val or test of another does; else they are parts of one set.
    """
    images = {table.path: {row.reference for row in table.rows} for table in tables}
    numbers = {path: re.sub(r"\D", "", path.stem) for path in images}
    trained = [path for path in images if split_of_title(path) == "train"]
    others = [path for path in images if split_of_title(path) in ("val", "test")]
    folds = {numbers[path] for path in trained} & {numbers[path] for path in others}
    again = any(
        numbers[train] != numbers[other]
        and folds >= {numbers[train], numbers[other]}
        and images[train] & images[other]
        for train in trained
        for other in others
    )
    if again:
        first = min(folds, key=lambda number: (len(number), number))
        log.add("splits_first", next(path for path in trained if numbers[path] == first).name)
        tables = [table for table in tables if numbers[table.path] not in folds - {first}]
    for table in tables:
        for title in table.folds:
            log.add("splits_unused", f"{disk.name(table.path)}: {title}")
    return list(tables)
