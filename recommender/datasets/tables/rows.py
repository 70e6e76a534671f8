"""Tables: headings, whichever program left them out, and the rows below them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from recommender.datasets.split_names import apart
from recommender.datasets.tables.text import FLAGS, IsImage, is_number, is_numbered

PICTURE_WORDS = (  # that head names of images
    *["file", "filename", "image", "img", "path", "filepath", "photo", "picture", "imageid", "frame"],
)
UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)*)?")  # as pandas calls a column without a heading
MIN_VALUES = 4  # numbers in the first row that are no headings


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
        return frozenset(c for c, cells in enumerate(self.columns) if all(map(is_number, set(cells))))

    def called(self, words: Sequence[str], columns: Sequence[int] | None = None) -> list[int]:
        """The ones of `columns`, else of all, in whose heading a word stands, alone or in the plural."""
        among = range(len(self.header)) if columns is None else columns
        return [c for c in among if _stands_in(self.header[c], words)]


def table_of(path: Path, named: str, rows: Sequence[Sequence[str]], is_image: IsImage) -> Table:
    """The rows, at least one, as a table; columns that hold nothing or the numbers of the rows are left out."""
    header, lines = _headed(rows, is_image)
    width = len(header)
    body = [
        row if len(row) == width else row[:width]
        for row in lines
        if not any(row[width:]) and len(row) >= width
    ]
    table = Table(path=path, named=named, header=header, body=body, num_uneven=len(lines) - len(body))
    idle = _idle_columns(table, is_image) if body else set()
    if not idle:
        return table
    kept = [c for c in range(width) if c not in idle]
    return replace(table, header=[header[c] for c in kept], body=[[row[c] for c in kept] for row in body])


def _headed(
    rows: Sequence[Sequence[str]], is_image: IsImage
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The headings, empty where there are none, and the rows below."""
    first, body = rows[0], rows[1:]
    titles = [cell for cell in first if cell]
    without = [""] * len(first)
    named = [c for c, cell in enumerate(first) if is_image(cell)]
    if len(titles) > 1 and titles[0] == "0" and is_numbered(titles):  # pandas' for columns without
        again = [c for c in named if any(row[c : c + 1] == [first[c]] for row in body)]
        return (without, rows) if len(again) < len(named) else (without, body)
    numbers = {c: cell for c, cell in enumerate(first) if cell and is_number(cell)}
    if named or (len(numbers) >= MIN_VALUES and not _are_headings(numbers, body)):
        return without, rows
    first = [first[0].lstrip("# "), *first[1:]]
    return ["", *first] if _lacks_first(first, body, is_image) else first, body


def _are_headings(numbers: Mapping[int, str], body: Sequence[Sequence[str]]) -> bool:
    """True of numbers in columns of the first row that count up, or that stand above flags and are none."""
    below = {cell.lower() for row in body for c in numbers for cell in row[c : c + 1]}
    return is_numbered(list(numbers.values())) or (
        set() < below <= FLAGS and not FLAGS.issuperset(numbers.values())
    )


def _lacks_first(first: Sequence[str], body: Sequence[Sequence[str]], is_image: IsImage) -> bool:
    """True where R heads no column of the rows' names; else the last heading may lack, or a comma ends each row."""
    if not body or any(len(row) != len(first) + 1 for row in body) or not any(row[-1] for row in body):
        return False
    names = [row[0] for row in body]
    headed = [c for c, word in enumerate(first) if word.lower() in PICTURE_WORDS]
    as_it_is, moved = (sum(is_image(body[0][c + by]) for c in headed) for by in (0, 1))
    distinct = len(set(names)) == len(names) and not any(map(is_image, names))
    return distinct and len(first) > 1 and (moved > as_it_is or not as_it_is)


def _idle_columns(table: Table, is_image: IsImage) -> set[int]:
    """The columns without a heading of their own that are empty, or that number the rows of images named in another."""
    headed = any(table.header)
    pictured = {c for c, cell in enumerate(table.body[0]) if not is_number(cell) and is_image(cell)}
    found = set()
    for column, cells in enumerate(table.columns):
        if not UNNAMED.fullmatch(table.header[column]):
            continue
        distinct = headed and len(set(cells)) == len(cells) and all(map(str.isdecimal, cells))
        if (headed and not any(cells)) or (pictured - {column} and (distinct or is_numbered(cells))):
            found.add(column)
    return found


def _stands_in(title: str, words: Sequence[str]) -> bool:
    parts = [part for part in re.split(r"[^a-z0-9]+", apart(title).lower()) if part]
    return any(part in words or part.removesuffix("s") in words for part in parts)
