"""The columns of a table that tell of its images: the name, the split and the size. Others may be the class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recommender.datasets.claims import parts_of
from recommender.datasets.disk import Disk
from recommender.datasets.matching import spellings
from recommender.datasets.tables.classes import CLASS_WORDS
from recommender.datasets.tables.rows import PICTURE_WORDS, Table
from recommender.datasets.tables.splits import SPLIT_WORDS, folds_in, is_split_flag, row_splits
from recommender.datasets.tables.text import SAMPLED
from recommender.records import Split

FILE_WORDS = (*PICTURE_WORDS, "id", "name")
FOLDER_WORDS = ("folder", "dir", "directory", "subfolder")
SIZES = (("width", "height"), ("imagewidth", "imageheight"), ("imgwidth", "imgheight"))
DATE = re.compile(r"\d{4}([-/.])\d\d?\1\d\d?(?!\d)|\d\d?([-/.])\d\d?\2\d{4}(?!\d)")
MIN_SHARE = 0.5  # of these rows that name an image


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of the image and of its width and height, the split of each row, and what else there is."""

    file: int
    references: Sequence[str]  # to the image of each row
    size: tuple[int, ...]  # none or two
    splits: Sequence[Split | None]
    folds: Sequence[str]  # headings of splits by number, which are not used
    others: Sequence[int]  # that may be the class


def columns_of(
    table: Table, among: Sequence[int], known: set[str], *, by_heading: bool = False
) -> Columns | None:
    """The meaning of those `among` its columns that hold no boxes; None where none names images.

    `by_heading` takes a column called so whose images are not there. Raises DatasetError for doubtful splits.
    """
    file = _file_column(table, among, known)
    if file is None and by_heading:
        file = next(iter(table.called(FILE_WORDS, among)), None)
    if file is None or not table.body:
        return None
    divided, splits = row_splits(table, [c for c in among if c != file])
    plain = {re.sub(r"[^a-z]", "", table.header[c].lower()): c for c in among}
    size = next(((plain[w], plain[h]) for w, h in SIZES if w in plain and h in plain), ())
    free = [c for c in among if c not in (file, *divided, *size)]
    # The phase of an operation and the set of a toy tell what is seen, where no other column does.
    words = [c for c in table.called(("phase", "set", "dataset"), free) if c not in table.numeric]
    others = [c for c in free if c not in table.called(SPLIT_WORDS)] or words
    others = [c for c in others if not is_split_flag(table.header[c])] or others  # `is_valid` of sound images
    others = [
        c for c in others if not all(map(DATE.match, table.columns[c])) or table.called(CLASS_WORDS, [c])
    ]
    return Columns(
        file=file,
        references=_references(table, file),
        size=size,
        splits=splits,
        folds=folds_in(table, free),
        others=others,
    )


def known_names(root: Path, disk: Disk) -> set[str]:
    """The names of all images, with and without suffix, as `names_image` compares them."""
    return {spellings(text)[2] for path in disk.images(root) for text in (path.name, path.stem)}


def names_image(value: str, known: set[str]) -> bool:
    """True if text ends in one of the `known` names."""
    names = {name for decoded in (True, False) for name in parts_of(value, decoded=decoded)[-1:]}
    found = (last for name in names for last in spellings(name)[2:])
    return any(last in known or Path(last).stem in known for last in found)


def _file_column(table: Table, columns: Sequence[int], known: set[str]) -> int | None:
    """The one of `columns` whose cells name images, best by words and below a heading that says so; None without."""
    sample = table.body[:: 1 + len(table.body) // SAMPLED]
    named = {c: sum(names_image(row[c], known) for row in sample) for c in columns}
    called, pictured, classes = map(table.called, (FILE_WORDS, PICTURE_WORDS, CLASS_WORDS))

    def rank(c: int) -> tuple[bool, bool, bool, bool, int, int]:
        """Numbers may be those of rows or classes: `image_id` before `id`, and what differs most before others."""
        others = -len(set(table.columns[c]))
        return c in table.numeric, c in classes, c not in called, c not in pictured, -named[c], others

    return min((c for c in columns if named[c] > MIN_SHARE * len(sample)), key=rank, default=None)


def _references(table: Table, file: int) -> Sequence[str]:
    """The images of the rows, with their folder where another column tells it."""
    cells = table.columns[file]
    folders = [c for c in table.called(FOLDER_WORDS) if c not in table.numeric and c != file]
    if len(folders) != 1:
        return cells
    return [f"{folder}/{cell}" for folder, cell in zip(table.columns[folders[0]], cells, strict=True)]
