"""Names of classes that are called by numbers, from a table beside them that says which number is which.

A table that says it row by row counts (`id,name`; `"3": "tulip"`), in whatever file it stands. A bare list of names
counts where its length says whether it begins at 0 or 1. What is doubtful is told, and the numbers stay.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from recommender.datasets.disk import Disk
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.json_text import load_json
from recommender.datasets.raw import RawSet
from recommender.errors import DatasetError
from recommender.text import printable

NUMBER = re.compile(r"\d{1,6}")
CODE = re.compile(r"/[a-z]/\w+")
LIST_NAME = re.compile(r"(?i)(^|[^a-z])(class(es)?|labels?|names|categories|synsets?)([^a-z]|$)|classnames?")
NUMBER_WORDS = re.compile(
    r"(?i)(^|[^a-z])(id|ids|number|num|no|index|idx|label|class|code)([^a-z]|$)|(class|label)id"
)
NAME_WORDS = re.compile(r"(?i)name|title|disease|species|breed|meaning|description|word|english")
SUFFIXES = frozenset({".txt", ".csv", ".tsv", ".json", ".names"})
MAX_ROWS = 100_000
NAMED_SHARE = 0.5  # of the classes: a file that names fewer is about something else
SHOWN = 3

MAX_FILES = 100  # of more, those alone that are called like a list of names
MAX_SPARE_ROWS = (
    20  # beyond two for each class, in a table that is not called so: of something else, such as images
)

Table = Mapping[int, str]  # the name of each number


def name_by_tables(raw: RawSet, root: Path, disk: Disk, read: Collection[Path] = ()) -> None:
    """Rename classes that are all numbers, or Open Images' codes, in place, where a table beside them names them.

    The tables that the set was `read` from tell of images: their words are the sex of a patient, or who looked at it.
    What was done, or why nothing was, is told in the set's log.
    """
    if raw.class_names and all(CODE.fullmatch(name) for name in raw.class_names):
        _name_codes(raw, _files(root, disk, read), disk)
    if not raw.class_names or not all(NUMBER.fullmatch(name) for name in raw.class_names):
        return
    numbers = [int(name) for name in raw.class_names]
    if len(set(numbers)) < len(numbers):  # 1 and 01
        return
    images = {text for image in raw.images for text in (image.path.name, image.path.stem)}
    found = {path: table for path in _files(root, disk, read) for table in _tables(path, numbers, disk)}
    found = {
        path: table
        for path, table in found.items()
        if images.isdisjoint(name.replace("\\", "/").rsplit("/", 1)[-1] for name in table.values())
    }
    if not found:
        return
    path, table = next(iter(found.items()))
    unclear = _unclear(found, numbers, disk)
    if unclear is not None:
        raw.log.add("names_doubtful", disk.name(path), unclear)
        return
    shown = ", ".join(f"{number} is {printable(table[number])}" for number in sorted(numbers)[:SHOWN])
    raw.log.add("names_from_table", disk.name(path), shown, count=len(numbers))
    _rename(raw, [table[number] for number in numbers])


def _name_codes(raw: RawSet, paths: Sequence[Path], disk: Disk) -> None:
    """Rename codes that the first two columns of a CSV explain, each by a name of its own."""
    for path in (path for path in paths if path.suffix.lower() == ".csv"):
        try:
            rows = csv.reader(io.StringIO(disk.read_text(path, disk.limits.yaml_bytes)))
            table = {row[0]: row[1].strip() for row in rows if len(row) > 1 and CODE.fullmatch(row[0])}
        except (DatasetError, csv.Error):
            continue
        names = [table.get(code, "") for code in raw.class_names]
        if all(names) and len(set(names)) == len(names):
            shown = f"{raw.class_names[0]} is {printable(names[0])}"
            raw.log.add("names_from_table", disk.name(path), shown, count=len(names))
            _rename(raw, names)
            return


def _rename(raw: RawSet, names: Sequence[str]) -> None:
    """Other names for the classes, which are sorted by name again."""
    ordered = sorted(names)
    place_K = np.array([ordered.index(name) for name in names])
    raw.class_names = tuple(ordered)
    for image in raw.images:
        image.classes_M = place_K[image.classes_M]


def _unclear(found: Mapping[Path, Table], numbers: Sequence[int], disk: Disk) -> str | None:
    """The reason why these tables do not say for sure what the numbers mean; None where they do."""
    for path, table in found.items():
        lacking = [number for number in numbers if number not in table]
        if lacking:
            return f"no name for {', '.join(map(str, lacking[:SHOWN]))} in {disk.name(path)}"
        names = [table[number] for number in numbers]
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            return f"two numbers are {printable(double)} in {disk.name(path)}"
    (first, table), *others = found.items()
    for path, other in others:
        number = next((number for number in numbers if other[number] != table[number]), None)
        if number is not None:
            return (
                f"{number} is {printable(table[number])} in {disk.name(first)} and {printable(other[number])} in "
                f"{disk.name(path)}"
            )
    return None


def _files(root: Path, disk: Disk, read: Collection[Path]) -> list[Path]:
    paths = [path for path in disk.walk(root) if path.suffix.lower() in SUFFIXES and path not in read]
    return paths if len(paths) <= MAX_FILES else [path for path in paths if LIST_NAME.search(path.stem)]


def _tables(path: Path, numbers: Sequence[int], disk: Disk) -> list[Table]:
    """One table of these numbers, or none."""
    try:
        if path.suffix.lower() == ".json":
            table = _of_json(load_json(path, disk), path, numbers)
        else:
            table = _of_text(disk.read_text(path, disk.limits.yaml_bytes), path, numbers)
    except (DatasetError, csv.Error):  # too long, or no text: no table of names
        return []
    named = sum(number in (table or {}) for number in numbers)
    return [table] if table is not None and (not table or named > NAMED_SHARE * len(numbers)) else []


def _of_json(document: object, path: Path, numbers: Sequence[int]) -> Table | None:
    inner = list(document.values()) if isinstance(document, dict) else []
    for value in (document, *inner[:MAX_ROWS]):
        table = _of_value(value, path, numbers)
        if table is not None:
            return table
    return None


def _of_value(value: object, path: Path, numbers: Sequence[int]) -> Table | None:
    if isinstance(value, dict):
        pairs = [(key, _name_in(item)) for key, item in value.items()]
        # Text with whole numbers may count or version anything, unless the file is called a list of names.
        swapped = [(item, key) for key, item in value.items() if isinstance(item, int)]
        swapped = swapped if LIST_NAME.search(path.stem) else []
        return _numbered(pairs) or _numbered(swapped)
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(item, str) for item in value):
        return _listed(value, path, numbers)
    rows = [item for item in value if isinstance(item, dict)]
    if len(rows) < len(value) or not rows[0]:
        return None
    keys = list(rows[0])
    return _of_columns(
        [keys, *(["" if row.get(key) is None else str(row[key]) for key in keys] for row in rows)],
        path,
        numbers,
    )


def _name_in(item: object) -> str:
    """A name as JSON gives it: plain, last in a list (ImageNet's number of WordNet comes first), or under `name`."""
    if isinstance(item, list) and item:
        item = item[-1]
    if isinstance(item, dict):
        item = item.get("name")
    return item if isinstance(item, str) else ""


def _numbered(pairs: Sequence[tuple[object, str]]) -> Table | None:
    """Pairs of number and name; None where one is anything else."""
    table = {int(str(number)): name.strip() for number, name in pairs if NUMBER.fullmatch(str(number))}
    whole = len(table) == len(pairs) and all(_is_name(name) for name in table.values())
    return table if whole and table else None


def _listed(names: Sequence[str], path: Path, numbers: Sequence[int]) -> Table | None:
    """Names without numbers, where their count tells whether they begin at 0 or at 1; empty where it does not."""
    if not LIST_NAME.search(path.stem) or not all(_is_name(name) for name in names):
        return None
    first, last = min(numbers), max(numbers)
    plain = [name.strip() for name in names]
    if first == 0 and last == len(names) - 1:
        return dict(enumerate(plain))
    if first == 1 and last == len(names):
        return dict(enumerate(plain, 1))
    return {} if len(numbers) <= len(names) <= last + 1 else None


def _of_text(content: str, path: Path, numbers: Sequence[int]) -> Table | None:
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if not 1 < len(lines) <= MAX_ROWS:
        return None
    mark = max(",;\t|", key=lines[0].count)
    if mark in lines[0]:
        with_cells = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=mark))
        return _of_columns([[cell.strip() for cell in row] for row in with_cells], path, numbers)
    pairs = [re.fullmatch(r"(\d+)\s*[:=\s]\s*(\S.*)", line) for line in lines]
    if all(pairs):
        return _numbered([(pair[1], pair[2]) for pair in pairs if pair])
    return _listed(lines, path, numbers)


def _of_columns(rows: Sequence[Sequence[str]], path: Path, numbers: Sequence[int]) -> Table | None:
    """The column of numbers and that of names; None where either could be another."""
    if len(rows) > 2 * len(numbers) + MAX_SPARE_ROWS and not LIST_NAME.search(path.stem):
        return None
    width = len(rows[0])
    headed = not any(NUMBER.fullmatch(cell) for cell in rows[0])
    header, body = (rows[0] if headed else [""] * width), rows[headed:]
    if not body or any(len(row) != width for row in body):
        return None
    columns = [[row[c] for row in body] for c in range(width)]
    of_numbers = [
        c
        for c, cells in enumerate(columns)
        if all(map(NUMBER.fullmatch, cells)) and len({int(cell) for cell in cells}) == len(cells)
    ]
    of_names = [c for c, cells in enumerate(columns) if all(map(_is_name, cells))]
    number, name = _only(of_numbers, header, NUMBER_WORDS), _only(of_names, header, NAME_WORDS)
    if number is None or name is None:
        return None
    return _numbered(list(zip(columns[number], columns[name], strict=True)))


def _only(columns: Sequence[int], header: Sequence[str], words: re.Pattern[str]) -> int | None:
    """The only column, else the only one that is called so."""
    called = [c for c in columns if words.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", header[c]))]
    chosen = called if len(columns) > 1 else columns
    return chosen[0] if len(chosen) == 1 else None


def _is_name(text: str) -> bool:
    """True of text with a letter that is no file of an image: `[1, 2, 30, 40]` is a box."""
    lettered = re.search(r"[^\W\d_]", text) is not None
    return lettered and Path(text.strip()).suffix.lower() not in IMAGE_SUFFIXES
