"""Boxes in CSV tables: TensorFlow's, keras-retinanet's, SKU-110K's, Open Images' and those of contests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from recommender.datasets.box_readings import (
    ANY,
    NOTHING,
    REMEDY,
    BoxColumns,
    Reading,
    Units,
    box_columns,
    has_scores,
    is_order_open,
    number_in,
    reading_of,
    refuse_unserved,
    units_of,
)
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.images import ImageError, read_header
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.name_tables import name_by_tables
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import Corners, RawSet
from recommender.datasets.shapes import box_from_centre, box_from_corners, box_from_size
from recommender.datasets.split_lists import take_splits
from recommender.datasets.split_names import (
    apart,
    first_fold,
    of_splits,
    split_of_file,
    split_of_title,
    split_of_words,
    without_split_words,
)
from recommender.datasets.table_columns import (
    FILE_WORDS,
    MISSING,
    box_class_column,
    class_cells,
    class_in,
    file_column,
    known_names,
    references_in,
)
from recommender.datasets.table_files import TABLE_SUFFIXES, is_table, read_table
from recommender.datasets.table_rows import Table
from recommender.datasets.table_splits import folds_in, row_splits
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import printable

NAMELESS = "object"  # where no column is the class
SIZES = (("width", "height"), ("imagewidth", "imageheight"), ("imgwidth", "imgheight"))
BOX_MAKERS = {
    "corners": box_from_corners,
    "upper left and size": box_from_size,
    "centre and size": box_from_centre,
}
NUMBERS = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
KEYS = re.compile(r"[a-df-z]", re.IGNORECASE)  # the numbers of `x1` and `y2` are no values
NO_BOX = ({0.0}, {-1.0})
UNREADABLE = (np.nan,) * 4
SHOWN = 3  # names of tables
SAMPLED_IMAGES = 400  # whose sizes tell how boxes are meant
Size = tuple[float, float]
UNKNOWN: Size = (np.nan, np.nan)


@dataclass(frozen=True, kw_only=True)
class BoxRow:
    """A row of a table: an image, and boxes of a class, four numbers each; none says that the image is empty."""

    reference: str
    label: str
    boxes: tuple[Corners, ...]
    split: Split | None
    size: Size | None


@dataclass(frozen=True, kw_only=True)
class BoxTable:
    """One CSV of boxes, with the columns that tell image, box, class and the image's width and height."""

    table: Table
    boxes: BoxColumns
    file: int
    label: int | None
    size: tuple[int, ...]
    splits: Sequence[Split | None]

    @property
    def path(self) -> Path:
        """The file."""
        return self.table.path

    @cached_property
    def rows(self) -> tuple[BoxRow, ...]:
        """The rows, with the split of their own or of the file."""
        split_of_table = split_of_title(self.path)
        boxes_N = self._boxes()
        widths, heights = [_numbers(self.table.columns[c]) for c in self.size] or [[0.0] * len(boxes_N)] * 2
        columns = (
            references_in(self.table, self.file),
            self._labels(boxes_N),
            boxes_N,
            self.splits,
            widths,
            heights,
        )
        return tuple(
            BoxRow(
                reference=reference,
                label=label,
                boxes=boxes,
                split=split or split_of_table,
                size=(width, height) if width > 0 and height > 0 else None,
            )
            for reference, label, boxes, split, width, height in zip(*columns, strict=True)
        )

    def _boxes(self) -> list[tuple[Corners, ...]]:
        """The values of each row's boxes, none where cells say so; NaN of cells that hold something else."""
        columns = [self.table.columns[c] for c in self.boxes.columns]
        if len(columns) == 1:
            known = {cell: _boxes_in(cell) for cell in set(columns[0])}
            return [known[cell] for cell in columns[0]]
        four = zip(*map(_numbers, columns), strict=True)
        empty = zip(*([cell.lower() in NOTHING for cell in column] for column in columns), strict=True)
        return [
            () if all(none) or set(box) in NO_BOX else (box,) for box, none in zip(four, empty, strict=True)
        ]

    def _labels(self, boxes_N: Sequence[tuple[Corners, ...]]) -> list[str]:
        """The class of each row, whose boxes are given; empty where the cell says none.

        `NA` is a class where several rows with boxes have it, and it stands for no missing number besides.
        """
        if self.label is None:
            return [NAMELESS] * len(boxes_N)
        cells = class_cells(self.table, self.label)
        num = sum(cell == MISSING and bool(boxes) for cell, boxes in zip(cells, boxes_N, strict=True))
        elsewhere = any(MISSING in column for c, column in enumerate(self.table.columns) if c != self.label)
        is_class = num > 1 and not elsewhere
        return [
            cell if is_class and boxes else class_in(cell) for cell, boxes in zip(cells, boxes_N, strict=True)
        ]


def read_box_csv(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the tables; classes are sorted by name. Raises DatasetError where it is doubtful what the boxes mean.

    Images without a row are background, unless the table has rows for empty images, names fewer than half, or another
    that was not read names some. Of one table called after a split those beside it of the other splits are read, too.
    """
    tables = find_box_tables([*paths, *_of_other_splits(paths, disk)], root, disk, log)
    if not tables:
        raise DatasetError(
            f"{printable(disk.name(paths[0]))} holds no boxes that are read: no column says what they are or "
            "names their images, or they have scores, as a detector's results have.",
            remedy=REMEDY,
        )
    kept = first_fold({found.path: set(found.table.columns[found.file]) for found in tables}, log)
    tables = [table for table in tables if table.path in kept]
    index = ImageIndex(root, disk)
    entries: list[NamedImage] = []
    for readings in dict.fromkeys(table.boxes.readings for table in tables):
        alike = [table for table in tables if table.boxes.readings == readings]
        reading, units = _meaning(alike, readings, index, disk, log)
        entries += [entry for table in alike for entry in _entries(table, reading, units, disk, log)]
    _tell_nameless(tables, disk, log)
    raw = named_set(entries, format="csv", root=root, disk=disk, log=log, name=name, others="background")
    silent = [image for image in raw.images if not image.labelled]
    few = 2 * len(silent) > len(raw.images)
    read, unlisted = {table.path for table in tables}, {image.path for image in silent}
    unread = _unread_tables(read, unlisted, index, root, disk, with_others=few)
    for path in unread:
        log.add("table_unread", disk.name(path))
    if unread or few or any(not entry.objects for entry in entries):
        raw.images = [image for image in raw.images if image.labelled]
        for image in silent:
            log.add("image_without_row", image.name)
    if all(image.split is None for image in raw.images):
        take_splits(raw, (), root, disk)
    name_by_tables(raw, root, disk, read)
    return raw


def _tell_nameless(tables: Sequence[BoxTable], disk: Disk, log: DefectLog) -> None:
    """Tell of tables without a column of the class. Raises DatasetError where others have one."""
    nameless = [table for table in tables if table.label is None]
    if nameless and len(nameless) < len(tables):
        raise DatasetError(
            f"{nameless[0].table.named} has no column of the class, and other tables of boxes have one.",
            remedy="Add a column `class`, or move the table away.",
        )
    for table in nameless:
        log.add("names_missing", disk.name(table.path), f"all are called {NAMELESS}")


def _of_other_splits(paths: Sequence[Path], disk: Disk) -> list[Path]:
    """The tables beside a single one that are called as it is but for the split."""
    given = paths[0]
    if len(paths) > 1 or split_of_words(apart(given.stem)) is None:
        return []
    beside = [given.parent / name for name in disk.listing(given.parent).files]
    alike = [
        path
        for path in beside
        if path.suffix.lower() == given.suffix.lower()
        and split_of_words(apart(path.stem)) not in (None, split_of_words(apart(given.stem)))
        and without_split_words(apart(path.stem)) == without_split_words(apart(given.stem))
    ]
    number = re.sub(r"\D", "", given.stem)  # of a fold; else of images, which differ
    return [path for path in alike if re.sub(r"\D", "", path.stem) == number] or alike


def _unread_tables(
    read: set[Path], images: set[Path], index: ImageIndex, root: Path, disk: Disk, *, with_others: bool
) -> list[Path]:
    """The tables below `root`, other than those `read`, that name some of these images: of boxes, or naming no others.

    Notes on all images tell nothing, so those that name others count only `with_others`.
    """
    known = known_names(root, disk)
    found = []
    for path in disk.walk(root) if images else ():
        if path in read or path.suffix.lower() not in TABLE_SUFFIXES:
            continue
        try:
            table = read_table(path, disk, known)
            file = None if table is None else file_column(table, range(len(table.header)), known)
            cells = set() if table is None or file is None else set(references_in(table, file))
            named = {index.of_name(cell, path, split_of_file(path, root)) for cell in cells} - {None}
        except DatasetError:  # doubtful: it may
            named = set(images)
        if named & images and (with_others or named <= images or _holds_boxes(path, root, disk)):
            found.append(path)
    return found


def _holds_boxes(path: Path, root: Path, disk: Disk) -> bool:
    """True of a table of boxes, those included that are refused as doubtful."""
    try:
        return bool(find_box_tables([path], root, disk, DefectLog()))
    except DatasetError:
        return True


def classed_tables(paths: Sequence[Path], root: Path, disk: Disk) -> list[BoxTable]:
    """The tables of boxes that have a column of the class; none where one is doubtful."""
    try:
        tables = find_box_tables(paths, root, disk, DefectLog())
    except DatasetError:  # doubtful, which the one who reads them says
        return []
    return [table for table in tables if table.label is not None]


def find_box_tables(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog) -> list[BoxTable]:
    """The tables of boxes among these files; those called after splits alone where train is among them.

    Raises DatasetError where it cannot be told which column is the class.
    """
    known = known_names(root, disk)
    tables = []
    for path in filter(is_table, paths):
        table = read_table(path, disk, known)
        found = None if table is None else _table(table, known, disk, log)
        tables += [] if found is None else [found]
    kept = of_splits([table.path for table in tables], root)
    return [table for table in tables if table.path in kept]


def _table(table: Table, known: set[str], disk: Disk, log: DefectLog) -> BoxTable | None:
    boxes = box_columns(table)
    if boxes is None or not boxes.readings:
        return None
    free = [c for c in range(len(table.header)) if c not in boxes.columns]
    file = file_column(table, free, known)
    if file is None:
        file = next(iter(table.called(FILE_WORDS, free)), None)
    if file is None or not table.body:
        return None
    if table.num_uneven:
        log.add("label_columns", disk.name(table.path), "rows of another length", count=table.num_uneven)
    refuse_unserved(table, boxes)
    if has_scores(table, boxes):
        return None
    divided, splits = row_splits(table, [c for c in free if c != file])
    for title in folds_in(table, free):
        log.add("splits_unused", f"{disk.name(table.path)}: {title}")
    size = _size_columns(table, free)
    label = box_class_column(table, [c for c in free if c not in (file, *divided, *size)])
    return BoxTable(table=table, boxes=boxes, file=file, label=label, size=size, splits=splits)


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


def _size_columns(table: Table, free: Sequence[int]) -> tuple[int, ...]:
    """The columns of the image's width and height."""
    plain = {re.sub(r"[^a-z]", "", table.header[c].lower()): c for c in free}
    return next(((plain[w], plain[h]) for w, h in SIZES if w in plain and h in plain), ())


def _meaning(
    tables: Sequence[BoxTable], readings: Sequence[Reading], index: ImageIndex, disk: Disk, log: DefectLog
) -> tuple[Reading, Units]:
    """The reading and the units of the boxes in tables with the same headings.

    Where neither headings nor shapes of images say that x comes before y, that is told.
    """
    named = ", ".join(disk.name(table.path) for table in tables[:SHOWN])
    boxed = {row.reference: (table, row) for table in tables for row in table.rows if row.boxes}
    sampled = list(boxed.values())[:: 1 + len(boxed) // SAMPLED_IMAGES]
    sizes = {row.reference: _size_of(table, row, index) for table, row in sampled}
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


def _size_of(table: BoxTable, row: BoxRow, index: ImageIndex) -> Size:
    """The largest frame that the boxes of an image may lie in: as it is, unturned, or as the table says."""
    path = index.of_name(row.reference, table.path, row.split)
    try:
        header = None if path is None else read_header(path)
    except ImageError:
        header = None
    if header is None:
        return UNKNOWN
    known = [(header.width, header.height), header.stored_size, row.size or (0, 0)]
    return max(float(width) for width, _ in known), max(float(height) for _, height in known)


def _entries(
    table: BoxTable, reading: Reading, units: Units, disk: Disk, log: DefectLog
) -> Iterator[NamedImage]:
    """The images of a table, each with the boxes of all its rows."""
    grouped: dict[tuple[str, Split | None], list[BoxRow]] = {}
    for row in table.rows:
        grouped.setdefault((row.reference, row.split), []).append(row)
    for (reference, split), rows in grouped.items():
        where = f"{disk.name(table.path)}: {reference}"
        objects = tuple(each for row in rows for each in _objects(row, reading, units, where, log))
        label = rows[0].label if table.label is not None else ""
        if label and not objects:
            log.add("image_tagged", where, label)
        yield NamedImage(
            reference=reference, near=table.path, objects=objects, split=split, size=rows[0].size, units=units
        )


def _objects(row: BoxRow, reading: Reading, units: Units, where: str, log: DefectLog) -> Iterator[Object]:
    for box in row.boxes:
        if not row.label:
            log.add("label_class_unknown", where, "no class")
        if units == "pixel" and all(value <= 1 for value in box):  # VinBigData's `0 0 1 1` for nothing
            log.add("label_zero_area", where, ", ".join(f"{value:g}" for value in box))
            yield "", None
        else:
            yield row.label, BOX_MAKERS[reading](box, where, log)
