"""YOLO label files: `class x y w h` a row, or `class x1 y1 x2 y2 x3 y3 …` for a polygon.

Every fault is counted by kind and the row left out; what is whole stays.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.raw import NO_OUTLINE, NumberedShape, Shape
from recommender.datasets.wrong_content import wrong_content
from recommender.errors import DatasetError, UnsafeInputError
from recommender.text import counted

# Rounding in labels of honest tools; ultralytics tolerates the same.
TOLERANCE = 0.01
# Above this a coordinate is surely no fraction: it is a pixel.
PIXELS_FROM = 2.0
SAMPLE_ROWS = 2000
# Fewer boxes, or so few beyond the edge, say nothing of a convention: annotators overshoot, on every side.
MIN_BOXES = 10
BEYOND = 0.1
FAR = 0.1  # beyond the edge, farther than annotators overshoot
AT_EDGE = 0.95
MAX_ID = 1_000_000
# How far vertices may lie beyond the image's edge: annotators overshoot, a wrong scale goes farther.
OVERSHOOT = 0.5


@dataclass(kw_only=True, eq=False)
class RowShapes:
    """Statistics over all label files that tell boxes, polygons, rotated boxes and keypoints apart."""

    columns: Counter[int] = field(default_factory=Counter)
    sample: list[list[float]] = field(default_factory=list)  # rows of more than 6 columns
    boxes: list[list[float]] = field(default_factory=list)  # the four numbers of rows of 5 columns
    class_ids: Counter[int] = field(default_factory=Counter)  # unknown ones included
    text_rows: int = 0  # that are no list of numbers
    text_files: dict[str, None] = field(default_factory=dict)  # that hold such rows, in order

    def add(self, row: list[float]) -> None:
        """Note one row of numbers."""
        self.columns[len(row)] += 1
        if row[0].is_integer() and abs(row[0]) < MAX_ID:
            self.class_ids[int(row[0])] += 1
        if len(row) > 6 and len(self.sample) < SAMPLE_ROWS:
            self.sample.append(row)
        if len(row) == 5 and len(self.boxes) < SAMPLE_ROWS:
            self.boxes.append(row[1:])

    def other_convention(self) -> str | None:
        """The convention, in words, by which no box leaves its image, where as read many do; else None."""
        rows_M4 = np.array(self.boxes, np.float64).reshape(-1, 4)
        rows_M4 = rows_M4[((rows_M4 >= 0) & (rows_M4 <= 1 + TOLERANCE)).all(axis=1)]
        first_M2, second_M2 = rows_M4[:, :2], rows_M4[:, 2:]
        over_M = (np.abs(first_M2 - 0.5) + second_M2 / 2 - 0.5).max(axis=1, initial=0)
        if len(rows_M4) < MIN_BOXES or (over_M > TOLERANCE).mean() < BEYOND:
            return None
        # A little beyond the edge are close-ups too, of which every box is wider than its centre is far.
        if (second_M2 > first_M2).all() and (over_M > FAR).mean() >= BEYOND:
            return "corners (x1 y1 x2 y2)"
        # Of corners and sizes some box ends at the right and the lower edge; of centres seldom just there.
        ends_M2 = first_M2 + second_M2
        if (ends_M2 <= 1 + TOLERANCE).all() and (ends_M2.max(axis=0) >= AT_EDGE).all():
            return "the upper left corner and the size (x1 y1 w h)"
        return None


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelFile:
    """The usable rows of one label file, in fractions, and how many it has."""

    objects: tuple[NumberedShape, ...]
    num_rows: int


def read_labels(
    path: Path, disk: Disk, num_classes: int | None, log: DefectLog, shapes: RowShapes
) -> LabelFile | None:
    """Read one label file; None when the file as a whole is unusable (counted).

    `num_classes` None accepts any class id, where nobody named the classes.
    """
    named = disk.name(path)
    try:
        with disk.open(path) as file:
            data = file.read(disk.limits.label_file_bytes + 1)
        if len(data) > disk.limits.label_file_bytes:
            log.add("label_too_large", named, f"more than {disk.limits.label_file_bytes} bytes")
            return None
        if found := wrong_content(data[:64]):
            log.add("label_unreadable", named, found.what)
            return None
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        log.add("label_not_utf8", named)
        return None
    except UnsafeInputError:
        raise
    except DatasetError as error:
        log.add("label_unreadable", named, error.message)
        return None
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > disk.limits.label_rows:
        log.add("label_too_large", named, counted(len(lines), "row"))
        return None
    limit = disk.limits.num_classes if num_classes is None else num_classes
    rows = [_row(tokens, f"{named}:{number}", limit, log, shapes) for number, tokens in lines]
    return LabelFile(objects=tuple(row for row in rows if row is not None), num_rows=len(rows))


def _row(
    tokens: list[str], where: str, num_classes: int, log: DefectLog, shapes: RowShapes
) -> NumberedShape | None:
    """Class and shape of one row, or None after counting its fault."""
    try:
        numbers = [float(token) for token in tokens]
    except ValueError:
        shapes.text_rows += 1
        shapes.text_files[where.rpartition(":")[0]] = None
        log.add("label_not_number", where, " ".join(tokens)[:60])
        return None
    shapes.add(numbers)
    if not all(map(math.isfinite, numbers)):
        log.add("label_not_finite", where, " ".join(tokens)[:60])
        return None
    if len(numbers) != 5 and (len(numbers) < 7 or len(numbers) % 2 == 0):
        log.add("label_columns", where, counted(len(numbers), "column"))
        return None
    if not _class_is_known(numbers[0], num_classes, where, log):
        return None
    box = numbers[1:]
    kind = _range_fault(box)
    if kind is not None:
        log.add(kind, where, " ".join(tokens)[:60])
        return None
    if len(box) == 4:
        return int(numbers[0]), Shape(_box_corners(box), NO_OUTLINE)
    log.add("label_outline", where)
    return int(numbers[0]), Shape(_extent(box), (np.array(box, np.float64).reshape(-1, 2),))


def _class_is_known(number: float, num_classes: int, where: str, log: DefectLog) -> bool:
    if number != int(number):
        log.add("label_class_fraction", where, f"class {number:g}")
    elif number < 0:
        log.add("label_class_negative", where, f"class {number:g}")
    elif number >= num_classes:
        log.add("label_class_unknown", where, f"class {number:g}, known are 0 … {num_classes - 1}")
    else:
        return True
    return False


def _range_fault(values: list[float]) -> str | None:
    if max(values) >= PIXELS_FROM:
        return "label_in_pixels"
    if len(values) > 4 and min(values) >= -OVERSHOOT and max(values) <= 1 + OVERSHOOT:
        return None  # cut at the edge like boxes
    if min(values) < -TOLERANCE or (len(values) == 4 and min(values[2:]) < 0):
        return "label_negative"
    if max(values) > 1 + TOLERANCE:
        return "label_out_of_range"
    return None


def _box_corners(box: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _extent(polygon: list[float]) -> tuple[float, float, float, float]:
    xs, ys = polygon[0::2], polygon[1::2]
    return min(xs), min(ys), max(xs), max(ys)
