"""Columns of tables that divide the images: one of words such as train and val, or flags such as `is_valid`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from recommender.datasets.split_names import SECOND_WORDS, apart, split_of_words
from recommender.datasets.tables.classes import CLASS_WORDS
from recommender.datasets.tables.rows import Table
from recommender.datasets.tables.text import FLAGS, ON, SAMPLED
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import printable

DIVIDING_WORDS = ("split", "subset", "usage", "partition")
SPLIT_WORDS = (*DIVIDING_WORDS, "set", "dataset", "phase")  # the set of a toy, the phase of an operation
SPLIT_FLAG = re.compile(r"(?i)is[_ ]?(train|training|val|valid|validation|test)")  # fast.ai's `is_valid`


def row_splits(table: Table, columns: Sequence[int]) -> tuple[tuple[int, ...], list[Split | None]]:
    """The columns that tell splits, one of words or some of flags such as `is_valid`, and the split of each row.

    Raises DatasetError where a column called so holds other words beside, or two for one split: val and eval.
    """
    column = _column_of_words(table, columns)
    if column is not None:
        return (column,), [split_of_words(apart(cell)) for cell in table.columns[column]]
    flags = {c: split for c in columns if (split := _split_flagged(table, c))}
    others: tuple[Split, ...] = ("train", "test", "val")
    rest = next((split for split in others if flags and split not in flags.values()), None)
    return tuple(flags), [
        next((split for c, split in flags.items() if row[c].lower() in ON), rest) for row in table.body
    ]


def folds_in(table: Table, columns: Sequence[int]) -> list[str]:
    """The headings of columns called splits that hold several numbers, such as those of folds: these are not used."""
    called = [c for c in table.called(("split",), columns) if c in table.numeric]
    return [
        table.header[c]
        for c in called
        if c not in table.called(CLASS_WORDS) and len(set(table.columns[c])) > 1
    ]


def is_split_flag(title: str) -> bool:
    """True if a heading says that its column tells who is in a split, or else who is sound: no class."""
    return SPLIT_FLAG.fullmatch(title.strip()) is not None


def _split_flagged(table: Table, column: int) -> Split | None:
    """The split that a column of flags tells; None of others, and where most rows are valid: that is no split."""
    found = SPLIT_FLAG.fullmatch(table.header[column].strip())
    cells = [cell.lower() for cell in table.columns[column]] if found else []
    if found is None or not set(cells) <= FLAGS or ON.isdisjoint(cells) or ON.issuperset(cells):
        return None
    sound = found[1].lower() == "valid" and 2 * sum(cell in ON for cell in cells) > len(cells)
    return None if sound else split_of_words(found[1])


def _column_of_words(table: Table, columns: Sequence[int]) -> int | None:
    """The column whose cells are splits; None where there is none.

    Raises DatasetError where a column called so holds other words: in few rows, or in any where it is surely one.
    """
    classes = table.called(CLASS_WORDS, columns)
    called = table.called(SPLIT_WORDS, columns)
    surely = [c for c in table.called(DIVIDING_WORDS, columns) if c not in classes]
    for c in columns:
        values = {apart(cell).lower() for cell in set(table.columns[c])}  # `trainImages`
        sample = [apart(cell) for cell in table.columns[c][:: 1 + len(table.body) // SAMPLED] if cell]
        known = sum(split_of_words(cell) is not None for cell in sample)
        if not known or (2 * known <= len(sample) and c not in surely):
            continue
        plain = {split_of_words(value) for value in values - SECOND_WORDS.keys()}
        unknown = {value for value in values if value and split_of_words(value) is None}
        beside = {word for word, split in SECOND_WORDS.items() if word in values and split in plain}
        other = min(unknown | beside, default=None)
        if other and c in called:
            raise DatasetError(
                f"{table.named}: which split is '{printable(other)}' in the column {printable(table.header[c])}?",
                remedy="Write train, val or test, or delete the column.",
            )
        is_class = c in classes and (len(classes) == 1 or len(values) == 1)
        if not other and (c in called or (not is_class and values & {"train", "training"})):
            return c
    return None
