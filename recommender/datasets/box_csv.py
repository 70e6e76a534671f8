"""Boxes in CSV tables: TensorFlow's, keras-retinanet's, SKU-110K's, Open Images' and those of contests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recommender.datasets.box_readings import REMEDY, Units, is_order_open, reading_of, units_of
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.images import ImageError, read_header
from recommender.datasets.label_csv import LabelTable
from recommender.datasets.label_rows import TABLE_SUFFIXES, is_table, read_rows
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.name_tables import name_by_tables
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import RawSet
from recommender.datasets.shapes import box_from_centre, box_from_corners, box_from_size, number
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
    ANY,
    FILE_WORDS,
    BoxColumns,
    Reading,
    box_class_column,
    box_columns,
    class_in,
    file_column,
    has_scores,
    is_called,
    known_names,
    names_image,
    row_splits,
    with_point,
)
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
EMPTY = ("", "nan", "none", "null", "na")
NO_BOX = ({0.0}, {-1.0})
UNREADABLE = ("", "", "", "")
SHOWN = 3  # names of tables
SAMPLED_IMAGES = 400  # whose sizes tell how boxes are meant
Size = tuple[float, float]
Cells = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoxRow:
    """A row of a table: an image, and boxes of a class as they are written; none says that the image is empty."""

    reference: str
    label: str
    boxes: tuple[Cells, ...]
    split: Split | None
    size: Size | None


@dataclass(frozen=True, kw_only=True)
class BoxTable:
    """One CSV of boxes."""

    path: Path
    readings: tuple[Reading, ...]
    named: bool  # a column is the class
    rows: tuple[BoxRow, ...]


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
    kept = first_fold({table.path: {row.reference for row in table.rows} for table in tables}, log)
    tables = [table for table in tables if table.path in kept]
    index = ImageIndex(root, disk)
    entries: list[NamedImage] = []
    for readings in dict.fromkeys(table.readings for table in tables):
        alike = [table for table in tables if table.readings == readings]
        reading, units = _meaning(alike, readings, index, disk, log)
        entries += [entry for table in alike for entry in _entries(table, reading, units, disk, log)]
    for table in tables:
        if not table.named:
            log.add("names_missing", disk.name(table.path), f"all are called {NAMELESS}")
    raw = named_set(entries, format="csv", root=root, disk=disk, log=log, name=name, background=True)
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
            rows = read_rows(path, disk, lambda text: names_image(text, known))
            file = file_column(rows[0], rows, range(len(rows[0])), known) if rows else None
            cells = {row[file] for row in rows if file is not None and len(row) == len(rows[0])}
            named = {index.of_name(cell, path, split_of_file(path, root)) for cell in cells} - {None}
        except DatasetError:  # doubtful: it may
            named = set(images)
        if named & images and (with_others or named <= images or holds_boxes(path, root, disk)):
            found.append(path)
    return found


def holds_boxes(path: Path, root: Path, disk: Disk) -> bool:
    """True of a table of boxes, those included that are refused as doubtful."""
    try:
        return bool(find_box_tables([path], root, disk, DefectLog()))
    except DatasetError:
        return True


def class_tables(paths: Sequence[Path], root: Path, disk: Disk) -> list[LabelTable]:
    """The classes of images as tables of boxes give them, a row a box; none where no column is the class."""
    try:
        tables = find_box_tables(paths, root, disk, DefectLog())
    except DatasetError:  # doubtful, which the one who reads them says
        return []
    return [
        LabelTable(
            path=table.path,
            split=None,
            rows=tuple((row.reference, row.label, row.split) for row in table.rows if row.boxes),
        )
        for table in tables
        if table.named
    ]


def find_box_tables(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog) -> list[BoxTable]:
    """The tables of boxes among these files; those called after splits alone where train is among them.

    Raises DatasetError where it cannot be told which column is the class.
    """
    known = known_names(root, disk)
    tables = []
    for path in filter(is_table, paths):
        rows = read_rows(path, disk, lambda text: names_image(text, known))
        table = _table(path, rows, known, root, disk, log)
        tables += [] if table is None else [table]
    kept = of_splits([table.path for table in tables], root)
    return [table for table in tables if table.path in kept]


def _table(
    path: Path, rows: Sequence[Sequence[str]], known: set[str], root: Path, disk: Disk, log: DefectLog
) -> BoxTable | None:
    boxes = box_columns(rows)
    if boxes is None or not boxes.readings:
        return None
    width = len(rows[0])
    header = rows[0] if boxes.headed else [""] * width
    body = [row for row in rows[boxes.headed :] if len(row) == width]
    free = [c for c in range(width) if c not in boxes.columns]
    file = file_column(header, body, free, known)
    if file is None:
        file = next((c for c in free if is_called(header[c], FILE_WORDS)), None)
    if file is None or not body:
        return None
    if num_uneven := len(rows) - boxes.headed - len(body):
        log.add("label_columns", disk.name(path), "rows of another length", count=num_uneven)
    if has_scores(header, body, boxes):
        return None
    divided, splits = row_splits(header, body, [c for c in free if c != file], disk.name(path))
    split_of_table = split_of_title(path)
    size = _size_columns(header, free)
    label = box_class_column(
        header, body, [c for c in free if c not in (file, *divided, *size)], disk.name(path)
    )
    return BoxTable(
        path=path,
        readings=boxes.readings,
        named=label is not None,
        rows=tuple(
            BoxRow(
                reference=row[file],
                label=NAMELESS if label is None else class_in(row[label]),
                boxes=_boxes_in(row, boxes),
                split=split or split_of_table,
                size=_size([row[c] for c in size]),
            )
            for row, split in zip(body, splits, strict=True)
        ),
    )


def _boxes_in(row: Sequence[str], boxes: BoxColumns) -> tuple[Cells, ...]:
    """The values of each box, none where zeros or -1 say so; those of a cell that holds something else are empty."""
    cells = [row[c] for c in boxes.columns]
    if all(cell.lower() in EMPTY for cell in cells):
        return ()
    found = [with_point(cell) for cell in cells]
    found = found if len(cells) == 4 else NUMBERS.findall(cells[0])
    if len(found) % 4 or (len(cells) == 1 and KEYS.search(cells[0])):
        return (UNREADABLE,)
    boxes_in = (tuple(found[i : i + 4]) for i in range(0, len(found), 4))
    return tuple(box for box in boxes_in if {number(cell) for cell in box} not in NO_BOX)


def _size_columns(header: Sequence[str], free: Sequence[int]) -> tuple[int, ...]:
    """The columns of the image's width and height."""
    plain = {re.sub(r"[^a-z]", "", header[c].lower()): c for c in free}
    return next(((plain[w], plain[h]) for w, h in SIZES if w in plain and h in plain), ())


def _size(cells: Sequence[str]) -> Size | None:
    width, height = map(number, cells or ("", ""))
    return (width, height) if width > 0 and height > 0 else None


def _meaning(
    tables: Sequence[BoxTable], readings: Sequence[Reading], index: ImageIndex, disk: Disk, log: DefectLog
) -> tuple[Reading, Units]:
    """The reading and the units of the boxes in tables with the same headings.

    Where neither headings nor shapes of images say that x comes before y, that is told.
    """
    named = ", ".join(disk.name(table.path) for table in tables[:SHOWN])
    rows = [(table, row) for table in tables for row in table.rows]
    values_N4 = np.array([values for _, row in rows for values in _finite(row)]).reshape(-1, 4)
    units = units_of(values_N4, named) if len(values_N4) else "pixel"
    references = {row.reference: (table, row) for table, row in rows if row.boxes}
    kept = list(references.values())[:: 1 + len(references) // SAMPLED_IMAGES]
    sizes = {row.reference: size for table, row in kept if (size := _size_of(table, row, index)) is not None}
    sized = [
        (values, sizes[row.reference]) for _, row in rows for values in _finite(row) if row.reference in sizes
    ]
    measured_N4 = np.array([values for values, _ in sized]).reshape(-1, 4)
    sizes_N2 = np.array([size for _, size in sized]).reshape(-1, 2)
    reading = reading_of(measured_N4, sizes_N2, readings, units, named)
    if readings == ANY and is_order_open(measured_N4, sizes_N2, reading, units):
        log.add("box_order_assumed", named, f"read as {reading}, x before y")
    return reading, units


def _finite(row: BoxRow) -> Iterator[list[float]]:
    """The values of the boxes that have an extent in some reading."""
    for cells in row.boxes:
        values = [number(cell) for cell in cells]
        if np.isfinite(values).all() and min(values[2:]) > 0:
            yield values


def _size_of(table: BoxTable, row: BoxRow, index: ImageIndex) -> Size | None:
    """The largest frame that the boxes of an image may lie in: as it is, unturned, or as the table says."""
    path = index.of_name(row.reference, table.path, row.split)
    if path is None:
        return None
    try:
        header = read_header(path)
    except ImageError:
        return None
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
        label = rows[0].label if table.named else ""
        if label and not objects:
            log.add("image_tagged", where, label)
        yield NamedImage(
            reference=reference, near=table.path, objects=objects, split=split, size=rows[0].size, units=units
        )


def _objects(row: BoxRow, reading: Reading, units: Units, where: str, log: DefectLog) -> Iterator[Object]:
    for cells in row.boxes:
        if not row.label:
            log.add("label_class_unknown", where, "no class")
        if units == "pixel" and all(
            number(cell) <= 1 for cell in cells
        ):  # VinBigData's `0 0 1 1` for nothing
            log.add("label_zero_area", where, ", ".join(cells))
            yield "", None
        else:
            yield row.label, BOX_MAKERS[reading](cells, where, log)
