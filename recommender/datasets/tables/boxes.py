"""Boxes in tables: TensorFlow's, keras-retinanet's, SKU-110K's, Open Images' and those of contests."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.images import ImageError, read_header
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.name_tables import name_by_tables
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import Corners, RawSet
from recommender.datasets.shapes import box_from_centre, box_from_corners, box_from_size
from recommender.datasets.split_names import (
    apart,
    split_of_file,
    split_of_title,
    without_split_words,
)
from recommender.datasets.tables.box_columns import (
    NOTHING,
    BoxColumns,
    box_columns,
    has_scores,
    refuse_unserved,
)
from recommender.datasets.tables.box_readings import (
    ANY,
    REMEDY,
    Reading,
    Units,
    is_order_open,
    number_in,
    reading_of,
    units_of,
)
from recommender.datasets.tables.classes import (
    MISSING,
    are_codes,
    box_class_column,
    class_cells,
    lists_of_classes,
)
from recommender.datasets.tables.columns import columns_of, known_names
from recommender.datasets.tables.files import TABLE_SUFFIXES, read_table, read_tables
from recommender.datasets.tables.image_tables import ImageRow, ImageTable, of_first_fold, of_splits
from recommender.datasets.tables.rows import Table
from recommender.datasets.tables.split_lists import take_splits
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import printable

NAMELESS = "object"  # where no column is the class
BOX_MAKERS = {
    "corners": box_from_corners,
    "upper left and size": box_from_size,
    "centre and size": box_from_centre,
}
NUMBERS = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
KEYS = re.compile(r"[a-df-z]", re.IGNORECASE)  # the numbers of `x1` and `y2` are no values
BETWEEN = re.compile(r"[\s,;|]+")  # classes in a cell
NO_BOX = ({0.0}, {-1.0})
UNREADABLE = (np.nan,) * 4
SHOWN = 3  # names of tables
SAMPLED_IMAGES = 400  # whose sizes tell how boxes are meant
Size = tuple[float, float]
UNKNOWN: Size = (np.nan, np.nan)


def read_box_tables(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the tables; classes are sorted by name. Raises DatasetError where it is doubtful what the boxes mean.

    Images without a row are background, unless the table has rows for empty images, names fewer than half, or another
    that was not read names some. Of one table called after a split those beside it of the other splits are read, too.
    """
    found = find_box_tables([*paths, *_of_other_splits(paths, disk)], root, disk, log)
    if not found:
        raise DatasetError(
            f"{printable(disk.name(paths[0]))} holds no boxes that are read: no column says what they are or "
            "names their images, or they have scores, as a detector's results have.",
            remedy=REMEDY,
        )
    tables = of_first_fold(found, disk, log)
    index = ImageIndex(root, disk)
    entries: list[NamedImage] = []
    for readings in dict.fromkeys(table.readings for table in tables):
        alike = [table for table in tables if table.readings == readings]
        reading, units = _meaning(alike, readings, index, disk, log)
        entries += [entry for table in alike for entry in _entries(table, reading, units, disk, log)]
    _tell_nameless(tables, disk, log)
    raw = named_set(entries, format="csv", root=root, disk=disk, log=log, name=name, others="background")
    _leave_out_unlisted(raw, entries, {table.path for table in tables}, index, root, disk)
    if all(image.split is None for image in raw.images):
        take_splits(raw, (), root, disk)
    name_by_tables(raw, root, disk, {table.path for table in tables})
    return raw


def classed_tables(paths: Sequence[Path], root: Path, disk: Disk) -> list[ImageTable]:
    """The tables of boxes that have a column of the class; none where one is doubtful."""
    try:
        return [table for table in find_box_tables(paths, root, disk, DefectLog()) if table.classed]
    except DatasetError:  # doubtful, which the one who reads them says
        return []


def find_box_tables(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog) -> list[ImageTable]:
    """The tables of boxes among these files; those called after splits alone where train is among them.

    Raises DatasetError where it cannot be told which column is the class.
    """
    known = known_names(root, disk)
    tables = [_box_table(table, known, disk, log) for table in read_tables(paths, disk, known)]
    return of_splits([table for table in tables if table is not None], root)


def _box_table(table: Table, known: set[str], disk: Disk, log: DefectLog) -> ImageTable | None:
    """The table with its boxes; None where it has none, where no column names images, and for a detector's results."""
    boxes = box_columns(table)
    if boxes is None or not boxes.readings:
        return None
    refuse_unserved(table, boxes)
    free = [c for c in range(len(table.header)) if c not in boxes.columns]
    if has_scores(table, boxes):
        return None
    columns = columns_of(table, free, known, by_heading=True)
    if columns is None:
        return None
    if table.num_uneven:
        log.add("label_columns", disk.name(table.path), "rows of another length", count=table.num_uneven)
    label = box_class_column(table, columns.others)
    boxes_N = _boxes(table, boxes)
    unsure = [
        c for c in columns.others if label is None and are_codes(table, c) and len(set(table.columns[c])) > 2
    ]
    labels = [NAMELESS] * len(boxes_N) if label is None else _labels(table, label, boxes_N)
    sizes = [_numbers(table.columns[c]) for c in columns.size] or [[0.0] * len(boxes_N)] * 2
    rows = zip(columns.references, labels, columns.splits, boxes_N, *sizes, strict=True)
    return ImageTable(
        path=table.path,
        rows=[
            ImageRow(
                reference=reference,
                label=class_,
                split=split or split_of_title(table.path),
                boxes=these,
                size=(width, height) if width > 0 and height > 0 else None,
            )
            for reference, class_, split, these, width, height in rows
        ],
        folds=columns.folds,
        readings=boxes.readings,
        classed=label is not None,
        unsure=[table.header[c] for c in unsure],
    )


def _boxes(table: Table, boxes: BoxColumns) -> list[tuple[Corners, ...]]:
    """The values of each row's boxes, none where cells say so; NaN of cells that hold something else."""
    columns = [table.columns[c] for c in boxes.columns]
    if len(columns) == 1:
        known = {cell: _boxes_in(cell) for cell in set(columns[0])}
        return [known[cell] for cell in columns[0]]
    four = zip(*map(_numbers, columns), strict=True)
    empty = zip(*([cell.lower() in NOTHING for cell in column] for column in columns), strict=True)
    return [() if all(none) or set(box) in NO_BOX else (box,) for box, none in zip(four, empty, strict=True)]


def _labels(table: Table, column: int, boxes_N: Sequence[tuple[Corners, ...]]) -> list[str]:
    """The class of each row, whose boxes are given; empty where the cell says none.

    `NA` is a class where several rows with boxes have it, and it stands for no missing number besides.
    """
    cells = class_cells(table, column)
    nums = [
        (len(BETWEEN.split(cell)), len(boxes)) for cell, boxes in zip(cells, boxes_N, strict=True) if boxes
    ]
    if max(nums, default=(1, 1)) > (1, 1) and all(words == boxes for words, boxes in nums):
        raise lists_of_classes(table.named)  # a word for each box of a row
    num = sum(cell == MISSING and bool(boxes) for cell, boxes in zip(cells, boxes_N, strict=True))
    elsewhere = any(MISSING in cells for c, cells in enumerate(table.columns) if c != column)
    kept = num > 1 and not elsewhere
    return [
        "" if cell == MISSING and not (kept and boxes) else cell
        for cell, boxes in zip(cells, boxes_N, strict=True)
    ]


def _numbers(cells: Sequence[str]) -> list[float]:
    known = {cell: number_in(cell) for cell in set(cells)}
    return [known[cell] for cell in cells]


def _boxes_in(cell: str) -> tuple[Corners, ...]:
    """The values of each box in a cell, none where it has no digit; NaN of one that holds something else."""
    found = NUMBERS.findall(cell)
    if len(found) % 4 or (found and KEYS.search(cell)):
        return (UNREADABLE,)
    values = list(map(number_in, found))
    boxes = zip(values[::4], values[1::4], values[2::4], values[3::4], strict=True)
    return tuple(box for box in boxes if set(box) not in NO_BOX)


def _tell_nameless(tables: Sequence[ImageTable], disk: Disk, log: DefectLog) -> None:
    """Tell of tables without a column of the class. Raises DatasetError where others have one."""
    nameless = [table for table in tables if not table.classed]
    if nameless and len(nameless) < len(tables):
        raise DatasetError(
            f"{printable(disk.name(nameless[0].path))} has no column of the class, and other tables of boxes have one.",
            remedy="Add a column `class`, or move the table away.",
        )
    for table in nameless:
        unsure = f"; head {' or '.join(table.unsure[:SHOWN])} `class` where it is" if table.unsure else ""
        log.add("names_missing", disk.name(table.path), f"all are called {NAMELESS}{unsure}")


def _of_other_splits(paths: Sequence[Path], disk: Disk) -> list[Path]:
    """The tables beside a single one that are called as it is but for the split."""
    given = paths[0]
    split, rest = split_of_title(given), without_split_words(apart(given.stem))
    if len(paths) > 1 or split is None:
        return []
    alike = [
        path
        for name in disk.listing(given.parent).files
        if (path := given.parent / name).suffix.lower() == given.suffix.lower()
        and split_of_title(path) not in (None, split)
        and without_split_words(apart(path.stem)) == rest
    ]
    number = re.sub(r"\D", "", given.stem)  # of a fold; else of images, which differ
    return [path for path in alike if re.sub(r"\D", "", path.stem) == number] or alike


def _leave_out_unlisted(
    raw: RawSet,
    entries: Sequence[NamedImage],
    read: Collection[Path],
    index: ImageIndex,
    root: Path,
    disk: Disk,
) -> None:
    """Leave images without a row out of a set where they may be no background; that is told."""
    silent = {image.path: image for image in raw.images if not image.labelled}
    few = 2 * len(silent) > len(raw.images)
    others = (path for path in disk.walk(root) if path.suffix.lower() in TABLE_SUFFIXES and path not in read)
    unread = [
        path for path in others if silent and _may_list(path, silent, index, root, disk, with_others=few)
    ]
    for path in unread:
        raw.log.add("table_unread", disk.name(path))
    if unread or few or any(not entry.objects for entry in entries):
        raw.images = [image for image in raw.images if image.labelled]
        for image in silent.values():
            raw.log.add("image_without_row", image.name)


def _may_list(
    path: Path, images: Collection[Path], index: ImageIndex, root: Path, disk: Disk, *, with_others: bool
) -> bool:
    """True of a table that names some of these images and holds boxes, or that names no others; of a doubtful one, too.

    Notes on all images tell nothing, so those that name others count only `with_others`.
    """
    known = known_names(root, disk)
    try:
        table = read_table(path, disk, known)
        columns = None if table is None else columns_of(table, range(len(table.header)), known)
        cells = set() if columns is None else set(columns.references)
        named = {index.of_name(cell, path, split_of_file(path, root)) for cell in cells} - {None}
        return not named.isdisjoint(images) and (
            with_others or named <= {*images} or bool(find_box_tables([path], root, disk, DefectLog()))
        )
    except DatasetError:
        return True


def _meaning(
    tables: Sequence[ImageTable], readings: Sequence[Reading], index: ImageIndex, disk: Disk, log: DefectLog
) -> tuple[Reading, Units]:
    """The reading and the units of the boxes in tables with the same headings.

    Where neither headings nor shapes of images say that x comes before y, that is told.
    """
    named = ", ".join(disk.name(table.path) for table in tables[:SHOWN])
    boxed = {row.reference: (table.path, row) for table in tables for row in table.rows if row.boxes}
    sampled = list(boxed.values())[:: 1 + len(boxed) // SAMPLED_IMAGES]
    sizes = {row.reference: _frame_of(row, path, index) for path, row in sampled}
    rows = [(box, row.reference) for table in tables for row in table.rows for box in row.boxes]
    values_N4 = np.array([box for box, _ in rows]).reshape(-1, 4)
    sizes_N2 = np.array([sizes.get(reference, UNKNOWN) for _, reference in rows]).reshape(-1, 2)
    extended_N = np.isfinite(values_N4).all(axis=1) & (values_N4[:, 2:] > 0).all(axis=1)  # in some reading
    units = units_of(values_N4[extended_N], named) if extended_N.any() else "pixel"
    measured_N = extended_N & np.isfinite(sizes_N2).all(axis=1)
    values_N4, sizes_N2 = values_N4[measured_N], sizes_N2[measured_N]
    reading = reading_of(values_N4, sizes_N2, readings, units, named)
    if readings == ANY and is_order_open(values_N4, sizes_N2, reading, units):
        log.add("box_order_assumed", named, f"read as {reading}, x before y")
    return reading, units


def _frame_of(row: ImageRow, near: Path, index: ImageIndex) -> Size:
    """The largest frame that the boxes of an image may lie in: as it is, unturned, or as the table says."""
    path = index.of_name(row.reference, near, row.split)
    try:
        header = None if path is None else read_header(path)
    except ImageError:
        header = None
    if header is None:
        return UNKNOWN
    known = [(header.width, header.height), header.stored_size, row.size or (0, 0)]
    return max(float(width) for width, _ in known), max(float(height) for _, height in known)


def _entries(
    table: ImageTable, reading: Reading, units: Units, disk: Disk, log: DefectLog
) -> Iterator[NamedImage]:
    """The images of a table, each with the boxes of all its rows."""
    grouped: dict[tuple[str, Split | None], list[ImageRow]] = {}
    for row in table.rows:
        grouped.setdefault((row.reference, row.split), []).append(row)
    for (reference, split), rows in grouped.items():
        where = f"{disk.name(table.path)}: {reference}"
        objects = tuple(each for row in rows for each in _objects(row, reading, units, where, log))
        label = rows[0].label if table.classed else ""
        if label and not objects:
            log.add("image_tagged", where, label)
        yield NamedImage(
            reference=reference, near=table.path, objects=objects, split=split, size=rows[0].size, units=units
        )


def _objects(row: ImageRow, reading: Reading, units: Units, where: str, log: DefectLog) -> Iterator[Object]:
    for box in row.boxes:
        if not row.label:
            log.add("label_class_unknown", where, "no class")
        if units == "pixel" and all(value <= 1 for value in box):  # VinBigData's `0 0 1 1` for nothing
            log.add("label_zero_area", where, ", ".join(f"{value:g}" for value in box))
            yield "", None
        else:
            yield row.label, BOX_MAKERS[reading](box, where, log)
