"""Tables as text, read into rows of cells: CSV, JSON lines, and lists of `file label` as training scripts read them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recommender.datasets.disk import Disk
from recommender.datasets.split_names import apart, split_of_words
from recommender.errors import DatasetError
from recommender.text import printable

TABLE_SUFFIXES = (".csv", ".tsv")
SAMPLED = 50  # rows that tell what a column holds
PICTURE_WORDS = (  # that head names of images
    *["file", "filename", "image", "img", "path", "filepath", "photo", "picture", "imageid", "frame"],
)
NO_TABLE = re.compile(r"(?i)submission|eval_?partition")  # a form for answers to a contest; splits by number
EXCEL_MARK = re.compile(r"(?i)\A\"?sep=(.)\"?\r?[\n\r]")  # the first line that tells Excel the separator
WITHIN_A_CELL = re.compile(r'"[^"]*"|\[[^]]*\]')
LIST_WORD = re.compile(r"(?i)(^|[^a-z])(list|labels?|annotations?)([^a-z]|$)")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Headings, which are empty where a table has none, and the rows below them of as many cells."""

    path: Path
    named: str  # for people
    header: Sequence[str]
    body: Sequence[Sequence[str]]
    num_uneven: int  # rows of another length, which are left out

    @cached_property
    def columns(self) -> tuple[tuple[str, ...], ...]:
        """The cells of each column, as many as there are rows."""
        return tuple(zip(*self.body, strict=True)) or ((),) * len(self.header)

    @cached_property
    def numeric(self) -> frozenset[int]:
        """The columns of which each cell is a number or empty."""
        return frozenset(c for c, cells in enumerate(self.columns) if all(map(is_number, cells)))

    def called(self, words: Sequence[str], columns: Sequence[int] | None = None) -> list[int]:
        """The ones of `columns`, else of all, in whose heading a word stands, alone or in the plural."""
        among = range(len(self.header)) if columns is None else columns
        return [c for c in among if _stands_in(self.header[c], words)]


def table_of(path: Path, rows: Sequence[Sequence[str]], disk: Disk, *, headed: bool) -> Table:
    """The rows, at least one, as a table."""
    body = [row for row in rows[headed:] if len(row) == len(rows[0])]
    return Table(
        path=path,
        named=printable(disk.name(path)),
        header=rows[0] if headed else [""] * len(rows[0]),
        body=body,
        num_uneven=len(rows) - headed - len(body),
    )


def is_table(path: Path) -> bool:
    """True for files that may list images with their classes, by their names."""
    suffix = path.suffix.lower()
    if NO_TABLE.search(path.stem) or path.parent.parent.name == "ImageSets":  # VOC's lists
        return False
    listed = split_of_words(path.stem) is not None or LIST_WORD.search(path.stem) is not None
    return suffix in (*TABLE_SUFFIXES, ".jsonl") or (suffix == ".txt" and listed)


def read_rows(path: Path, disk: Disk, is_image: Callable[[str], bool]) -> list[list[str]]:
    """The rows of a table, the heading first where there is one; empty where the file is none.

    `is_image` tells text that names an image. Raises DatasetError for a damaged file.
    """
    content = disk.read_text(path, disk.limits.list_file_bytes)
    mark = EXCEL_MARK.match(content)
    content = content[mark.end() if mark else 0 :]
    if "\n" not in content:  # lines of an old Macintosh
        content = content.replace("\r", "\n")
    suffix = path.suffix.lower()
    first = content.split("\n", 1)[0]
    if suffix == ".jsonl":
        return _of_json_lines(content, path, disk)
    if suffix == ".txt" and "\t" not in first:
        return _of_lines(content, is_image)
    marks = WITHIN_A_CELL.sub("", first.rstrip("\r"))
    delimiter = mark[1] if mark and mark[1] in marks else max(",;\t|", key=marks.count)
    # Strict: a mark of quotation that is never closed would swallow the rows below it.
    lines = csv.reader(io.StringIO(content), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        rows = [[cell.strip() for cell in row] for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:  # a field without end, a NUL
        raise DatasetError(
            f"{printable(disk.name(path))} is no valid CSV: {error}.",
            remedy="Close quotation marks, and write those within a cell twice.",
        ) from error
    if len(rows) > 1 and all(len(row) == len(rows[0]) + 1 for row in rows[1:]):
        names = [row[0] for row in rows[1:]]
        # Images where the heading has them: it is the last that lacks.
        headed = [cell for word, cell in zip(rows[0], rows[1], strict=False) if word.lower() in PICTURE_WORDS]
        if not any(row[-1] for row in rows[1:]):
            rows[1:] = [row[:-1] for row in rows[1:]]  # a comma ends each row, and not the heading
        elif len(rows[0]) > 1 and len(set(names)) == len(names) and not any(map(is_image, [*names, *headed])):
            rows[0].insert(0, "")  # R heads no column of the rows' names; else the last heading may lack
    return rows


def _of_lines(content: str, is_image: Callable[[str], bool]) -> list[list[str]]:
    """Lines of file and class, either of which may hold blanks, or of a file and several numbers."""
    lines = [
        line
        for line in content.splitlines()
        if line.strip() and (not line.startswith("#") or is_image(line.split()[0]))
    ]
    columns = [line.split() for line in lines]
    if all(len(row) == len(columns[0]) > 2 and all(map(str.isdigit, row[1:])) for row in columns):
        return columns
    for cut in (str.rsplit, str.split):
        rows = [cut(line, maxsplit=1) for line in lines]
        named = sum(any(map(is_image, row)) for row in rows[:SAMPLED])
        if all(len(row) == 2 for row in rows) and 2 * named > len(rows[:SAMPLED]):
            return rows
    return []


def _of_json_lines(content: str, path: Path, disk: Disk) -> list[list[str]]:
    """Objects of one form, a row each below their keys; values that are no text or number as JSON."""
    try:
        rows = [json.loads(line) for line in content.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{printable(disk.name(path))} is no valid JSON, line by line.", remedy="Export it again."
        ) from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        return []
    keys = list(rows[0])
    return [keys, *([_cell(row.get(key)) for key in keys] for row in rows)]


def _cell(value: object) -> str:
    return "" if value is None else value.strip() if isinstance(value, str) else json.dumps(value)


def _stands_in(title: str, words: Sequence[str]) -> bool:
    parts = [part for part in re.split(r"[^a-z0-9]+", apart(title).lower()) if part]
    return any(part in words or part.removesuffix("s") in words for part in parts)


def is_number(value: str) -> bool:
    """True of a cell that is a number or empty."""
    try:
        float(value)
    except ValueError:
        return not value
    return True
