"""The class of each image in a table of whole images: in a column of classes, or in one column of flags for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from recommender.datasets.tables.classes import (
    LABEL_WORDS,
    MISSING,
    REMEDY,
    class_cells,
    class_columns,
    is_exactly_class,
    refuse_lists,
    which_class,
)
from recommender.datasets.tables.columns import Columns
from recommender.datasets.tables.rows import Table
from recommender.datasets.tables.text import FLAGS, ON
from recommender.errors import DatasetError, WrongTaskError
from recommender.text import counted, printable

SEVERAL = re.compile(r"\s*[|;,]\s*")
TOGETHER = re.compile(r"[\s+&/]+(?:and\s+)?")  # between the parts of one name, too
BARS = re.compile(r"\s*[|;]\s*")
MANY_CLASSES = 0.5  # of the rows: more classes than that are no classes
FEW_ROWS = 20


def image_classes(table: Table, columns: Columns, *, insist: bool) -> Sequence[str] | None:
    """The class of each row; None where no column gives one, or DatasetError where some column must: `insist`.

    Raises WrongTaskError for several classes an image, DatasetError where several columns may be the class, and for
    measures and lists.
    """
    among = columns.others
    flags = [c for c in among if {cell.lower() for cell in table.columns[c]} <= FLAGS]
    on = [[table.header[c] for c in flags if row[c].lower() in ON] for row in table.body]
    one_on = len(flags) > 1 and all(len(each) == 1 for each in on)
    if len(flags) > 2 and one_on and not table.called(LABEL_WORDS, among):
        among = flags  # beside the age of a patient
    if len(flags) > 1 and len(flags) == len(among) and any(table.header):
        among = [c for c in flags if is_exactly_class(table.header[c])]
        if one_on or len(among) != 1:  # else `label,occluded` in zeros and ones
            return _of_flags(table, on)
    chosen = class_columns(table, among)
    if len(chosen) == 1:
        return _of_column(table, chosen[0])
    if len(chosen) > 1 or (insist and among):
        raise which_class(table, chosen or among, REMEDY)
    return None if any(table.header) else _of_file_names(table, columns)


def several_classes(named: str, example: str) -> WrongTaskError:
    """The refusal of images with several classes."""
    return WrongTaskError(
        f"{named} gives images several classes ({printable(example, limit=100)}): multi-label classification, which "
        "is not served.",
        remedy="Keep one class for each image, or make a data set for each question. Head columns of boxes xmin, ymin, "
        "xmax, ymax.",
    )


def _of_flags(table: Table, on: Sequence[Sequence[str]]) -> list[str]:
    """The classes whose flags are on in the rows, each of one."""
    for classes in on:
        if len(classes) != 1:
            shown = f"{': ' if classes else ''}{', '.join(classes[:3])}"
            raise several_classes(table.named, f"a row has {counted(len(classes), 'class')}{shown}")
    return [classes[0] for classes in on]


def _of_column(table: Table, column: int) -> Sequence[str]:
    labels = ["" if cell == MISSING else cell for cell in class_cells(table, column)]
    choices = next((label for label in labels if '"choices"' in label), None)  # of Label Studio
    if choices is not None:
        raise several_classes(table.named, choices)
    refuse_lists(labels, table.named)
    _refuse_several(table.named, labels)
    num_classes = len(set(labels))
    if num_classes > max(FEW_ROWS, MANY_CLASSES * len(labels)) or 2 < num_classes == len(labels):
        raise DatasetError(
            f"{table.named} names {counted(num_classes, 'class')} for {counted(len(labels), 'image')}: no classes to "
            "learn.",
            remedy="Name the column of the class `label`; measures are not classes.",
        )
    return labels


def _refuse_several(named: str, labels: Sequence[str]) -> None:
    known = dict.fromkeys(labels)
    shared = Counter(part for label in known for part in BARS.split(label))
    for label in known:
        parts = [part for part in SEVERAL.split(label) if part]
        words = TOGETHER.split(label)
        apart = len(parts) > 1 and any(part in known or shared[part] > 1 for part in parts)
        if apart or (len(words) > 1 and all(word in known for word in words)):
            raise several_classes(named, repr(label))


def _of_file_names(table: Table, columns: Columns) -> list[str] | None:
    """Classes from names such as `beagle_12`, where a column of numbers says the same of every image."""
    names = [re.sub(r"_\d+$", "", Path(cell).stem) for cell in table.columns[columns.file]]
    for column in columns.others:
        pairs = set(zip(names, table.columns[column], strict=True))
        if 1 < len(pairs) == len(set(names)) == len({number for _, number in pairs}) < len(names):
            return names
    return None
