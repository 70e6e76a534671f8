"""Classes of whole images from tables, each image's in a row: which tables give some, and the set they make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from recommender.datasets.class_folders import classified
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.lookup import ImageIndex, is_mask
from recommender.datasets.raw import RawSet
from recommender.datasets.split_names import split_of_image, split_of_title
from recommender.datasets.tables.box_columns import box_columns, has_scores
from recommender.datasets.tables.box_readings import REMEDY as BOX_REMEDY
from recommender.datasets.tables.columns import (
    MIN_SHARE,
    columns_of,
    known_names,
)
from recommender.datasets.tables.files import read_table, read_tables
from recommender.datasets.tables.image_classes import image_classes, several_classes
from recommender.datasets.tables.image_tables import ImageRow, ImageTable, of_first_fold, of_splits
from recommender.datasets.tables.rows import Table
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import counted, printable

RUN_WORDS = re.compile(r"(?i)encoded_?pixels|(^|[^a-z])rle([^a-z]|$)|run_?lengths?")
PLACES = re.compile(r"[\[(][-+\d.e\s\[\]()]*(?:,[-+\d.e\s\[\]()]*){3,}")


def find_label_tables(
    root: Path, disk: Disk, only: Path | None = None, *, beside_folders: bool = False, of_boxes: bool = False
) -> list[ImageTable]:
    """The tables below `root` that give images a class; those called after splits alone where train is among them.

    A table of boxes without a heading counts only `beside_folders` of classes: Tiny ImageNet's names the class, too.
    Where no other does and they are asked for, those `of_boxes` count that have one row an image.

    Raises WrongTaskError for several classes an image, DatasetError where no column can be told to be the class.
    """
    known = known_names(root, disk)
    plain: list[tuple[Table, Sequence[int]]] = []
    boxed: list[tuple[Table, Sequence[int]]] = []
    of_runs: list[Path] = []
    given = [read_table(only, disk, known)] if only else read_tables(disk.walk(root), disk, known)
    for table in filter(None, given):
        boxes, columns = box_columns(table), range(len(table.header))
        if RUN_WORDS.search(" ".join(table.header)):
            of_runs.append(table.path)
        elif boxes is None or (beside_folders and not any(table.header)):
            plain.append((table, columns))
        elif of_boxes and boxes.readings and not has_scores(table, boxes):
            boxed.append((table, [c for c in columns if c not in boxes.columns]))

    def read(located: Sequence[tuple[Table, Sequence[int]]]) -> list[ImageTable]:
        found = (_label_table(*each, known, disk, insist=only is not None) for each in located)
        return [table for table in found if table is not None]

    tables = read(plain)
    if boxed and not tables:  # one that tells of a part of the images stands beside other labels
        fewest = MIN_SHARE * sum(1 for _ in disk.images(root))
        tables = [
            found
            for found in read(boxed)
            if fewest <= len(found.rows) == len({row.reference for row in found.rows})
        ]
    if of_runs and not tables:
        raise DatasetError(
            f"{printable(disk.name(of_runs[0]))} holds masks as run lengths, which are not read from a CSV.",
            remedy="Export COCO JSON with run lengths, or a mask picture of each object.",
        )
    return of_splits(tables, root)


def _label_table(
    table: Table, among: Sequence[int], known: set[str], disk: Disk, *, insist: bool
) -> ImageTable | None:
    """The images and classes that the columns tell; None where they do not. `insist` refuses for want of a class."""
    columns = columns_of(table, among, known)
    if columns is None or len(among) < 2:
        return None
    labels = image_classes(table, columns, insist=insist)
    if labels is None:
        return None
    drawn = next(
        (c for c in columns.others if len(columns.others) > 1 and _holds_places(table.columns[c])), None
    )
    if drawn is not None:
        raise DatasetError(
            f"{table.named}: the column {printable(table.header[drawn])} holds lists of numbers: where objects lie?",
            remedy=f"{BOX_REMEDY} Delete the column where it is something else.",
        )
    headed, num_images = any(table.header), len(set(columns.references))
    if not headed and len(among) > 2 and (num_images < len(table.body) or len(set(labels)) < 2):
        return None  # a row for each box
    num_rows = len(table.body) + table.num_uneven + headed
    if table.num_uneven > disk.limits.unusable_share * num_rows:
        raise DatasetError(
            f"{table.named}: {table.num_uneven} of {num_rows} rows have not "
            f"{counted(len(table.header), 'cell')} as the first.",
            remedy="Write a row for each image, and cells that hold a separator in quotation marks.",
        )
    rows = zip(columns.references, labels, columns.splits, strict=True)
    return ImageTable(
        path=table.path,
        rows=[
            ImageRow(reference=reference, label=label, split=split or split_of_title(table.path))
            for reference, label, split in rows
        ],
        folds=columns.folds,
    )


def _holds_places(cells: Sequence[str]) -> bool:
    """True of a column most of whose cells are lists of four numbers or more."""
    return 2 * sum(PLACES.fullmatch(cell) is not None for cell in cells) > len(cells)


def read_label_tables(
    tables: Sequence[ImageTable], root: Path, disk: Disk, log: DefectLog, name: str
) -> RawSet:
    """The images that the tables name, classes sorted by name.

    Raises WrongTaskError for several classes an image, DatasetError for a single one in all and for tables that differ.
    """
    tables = of_first_fold(tables, disk, log)
    index = ImageIndex(root, disk)
    found, num_missing = _found(tables, index, root, disk, log)
    names = sorted({label for label, _, _ in found.values() if label})
    if len(names) < 2:
        raise DatasetError(
            f"{printable(disk.name(tables[0].path))} gives all images one class: '{printable(''.join(names))}'.",
            remedy="A classifier tells two classes or more apart: add images of another.",
        )
    numbers = {label: number for number, label in enumerate(names)}
    images = [
        classified(path, numbers[label], place, disk) for path, (label, place, _) in found.items() if label
    ]
    unclassified = [path for path, (label, _, _) in found.items() if not label]
    others = [path for path in index.paths if path not in found and not is_mask(path, root)]
    for path in (*unclassified, *others):
        log.add("image_unclassified", disk.name(path))
    if any(image.split for image in images):
        for image in images:
            image.split = image.split or "train"
    return RawSet(
        name=name,
        root=root,
        format="csv",
        class_names=tuple(names),
        images=images,
        log=log,
        num_left_out=num_missing,
        classified=True,
    )


def labels_of(
    tables: Sequence[ImageTable], paths: Sequence[Path], root: Path, disk: Disk
) -> dict[Path, tuple[str, Split | None]]:
    """Label and split of those of `paths`, images beside class folders, that tables name; none if ambiguous."""
    if not tables or not paths:
        return {}
    try:
        found, _ = _found(tables, ImageIndex(root, disk), root, disk, DefectLog())
    except DatasetError:  # one name for images in several folders, or tables of several questions
        return {}
    return {path: found[path][:2] for path in paths if path in found}


def _found(
    tables: Sequence[ImageTable], index: ImageIndex, root: Path, disk: Disk, log: DefectLog
) -> tuple[dict[Path, tuple[str, Split | None, Path]], int]:
    """Label, split and table of each image, and the number of rows whose image is missing."""
    found: dict[Path, tuple[str, Split | None, Path]] = {}
    num_missing = 0
    rows = [(row, table.path) for table in tables for row in table.rows]
    paths = index.of_names([(row.reference, near, row.split) for row, near in rows])
    for (row, near), path in zip(rows, paths, strict=True):
        if path is None:
            num_missing += 1
            log.add("image_missing", disk.name(near), row.reference)
            continue
        split = row.split or split_of_image(path, near, root)
        known, _, where = found.setdefault(path, (row.label, split, near))
        if known != row.label and where == near:
            raise several_classes(printable(disk.name(near)), f"{row.reference}: {known} and {row.label}")
        if known != row.label:
            raise DatasetError(
                f"{printable(disk.name(where))} calls {printable(row.reference)} '{printable(known)}', and "
                f"{printable(disk.name(near))} '{printable(row.label)}'.",
                remedy="Keep the tables of one question, and move the others away from the data set's folder.",
            )
    return found, num_missing
