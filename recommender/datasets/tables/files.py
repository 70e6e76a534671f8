"""Files of tables: which may be one, and what each holds."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from recommender.datasets.disk import Disk
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.json_text import refuse_large
from recommender.datasets.split_names import split_of_words
from recommender.datasets.tables.box_columns import box_columns
from recommender.datasets.tables.columns import names_image
from recommender.datasets.tables.objects import unfolded
from recommender.datasets.tables.rows import Table, table_of
from recommender.datasets.tables.text import IsImage, rows_of
from recommender.errors import DatasetError
from recommender.text import printable

TABLE_SUFFIXES = (".csv", ".tsv")
NO_TABLE = re.compile(r"(?i)submission|eval_?partition")  # a form for answers to a contest; splits by number
LIST_WORD = re.compile(r"(?i)(^|[^a-z])(list|labels?|annotations?)([^a-z]|$)|^(b?box(es)?|gt|ground_?truth)$")


def is_table(path: Path) -> bool:
    """True for files that may list images with their classes, by their names."""
    suffix = path.suffix.lower()
    if NO_TABLE.search(path.stem) or path.parent.parent.name == "ImageSets":  # VOC's lists
        return False
    listed = split_of_words(path.stem) is not None or LIST_WORD.search(path.stem) is not None
    return suffix in (*TABLE_SUFFIXES, ".jsonl") or (suffix == ".txt" and listed)


def read_tables(paths: Iterable[Path], disk: Disk, known: set[str]) -> Iterator[Table]:
    """The tables among these files. Raises as `read_table`."""
    for path in filter(is_table, paths):
        table = read_table(path, disk, known)
        if table is not None:
            yield table


def read_table(path: Path, disk: Disk, known: set[str]) -> Table | None:
    """The table of a file; None where it is none. `known` are the names of the images.

    Raises DatasetError for a damaged file, UnsafeInputError for one that is too large.
    """

    def read() -> Table | None:
        return _table(read_rows(path, disk, known), path, printable(disk.name(path)), known)

    return disk.once(path, read)


def read_rows(path: Path, disk: Disk, known: set[str]) -> list[list[str]]:
    """The rows of a table as they stand in the file. Raises as `read_table`."""
    named = printable(disk.name(path))
    content = disk.read_text(path, disk.limits.list_file_bytes)
    if "{" in content:
        refuse_large(content, named, disk)
    try:
        return rows_of(content, path.suffix.lower(), _image_test(known))
    except csv.Error as error:  # a field without end, a NUL
        raise DatasetError(
            f"{named} is no valid CSV: {error}.",
            remedy="Close quotation marks, and write those within a cell twice.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{named} is no valid JSON, line by line.", remedy="Export it again.") from error


def begins_with_boxes(path: Path, head: bytes) -> bool:
    """True if a file may be a table by its name, and so many first bytes of it have columns of boxes."""
    if not is_table(path):
        return False
    text = head.decode("utf-8-sig", "replace")
    lines = text.rpartition("\n")[0] or text  # the last may be cut
    try:
        rows = rows_of(lines, path.suffix.lower(), _image_test(set()), strict=False)
    except (ValueError, RecursionError):
        return False
    table = _table(rows, path, path.name, set())
    return table is not None and box_columns(table) is not None


def _image_test(known: set[str]) -> IsImage:
    return lambda cell: names_image(cell, known) or Path(cell).suffix.lower() in IMAGE_SUFFIXES


def _table(rows: list[list[str]], path: Path, named: str, known: set[str]) -> Table | None:
    return unfolded(table_of(path, named, rows, _image_test(known))) if rows else None
