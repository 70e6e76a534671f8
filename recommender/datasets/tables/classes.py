"""The column of a table that is the class of images or boxes, and the classes in its cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from recommender.datasets.tables.rows import Table
from recommender.errors import DatasetError
from recommender.text import printable

LABEL_WORDS = (
    *(
        "label",
        "class",
        "category",
        "choice",
        "target",
        "breed",
        "species",
        "diagnosis",
        "dx",
        "tag",
        "y",
        "cls",
    ),
    *("clase", "classe", "klasse", "kategorie", "categoria"),
)
CLASS_WORDS = (*LABEL_WORDS, "classname", "labelname", "object")  # in whose columns `train` goes on rails
BOX_CLASS_WORDS = ("classname", "classid", "labelname", "name", "object", "type")
# Of a column of words beside boxes: no class, such as Global Wheat's laboratories and Open Images' annotators.
OTHER_WORDS = ("source", "domain", "id", "url", "date", "time", "timestamp", "comment", "user", "usage")
REMEDY = "Call the column of the class `label`, and keep one."
BOX_REMEDY = (
    "Call the column of the class `class`, and delete the others; delete all where there is one class. Where another "
    "table holds the boxes, give that file."
)
# Four numbers: boxes of an image, in one cell. Begun at whole numbers, else a long cell of digits takes hours.
VALUES = re.compile(r"(?<![\d.])(?:-?\d+(?:\.\d*)?\s+){3}-?\d")
MISSING = "NA"  # of R
WHOLE = re.compile(r"(\d+)\.0")  # a number among empty cells, as pandas writes it
LIST_OF_ONE = re.compile(r"\[\s*([\"'])([^\"'\[\]]*)\1\s*\]")


def class_columns(table: Table, columns: Sequence[int], words: Sequence[str] = LABEL_WORDS) -> list[int]:
    """The columns that may hold the class: called so, else the only one; of a number and a name, the name."""
    chosen = table.called(words, columns) or (list(columns) if len(columns) == 1 else [])
    chosen = [c for c in chosen if table.header[c].lower() != "y"] or chosen  # else the place of a point
    texts = [c for c in (chosen or columns) if c not in table.numeric]
    codes = [c for c in chosen if is_exactly_class(table.header[c]) and are_codes(table, c)]
    named = chosen and all(_one_to_one(table, c, code) for c in texts for code in codes)
    if not any(table.header) and texts:
        # Without headings numbers that count classes may be them as well as words that do not go with the numbers
        chosen = sorted(
            [*texts, *(c for c in columns if _are_dense(table, c) and not _one_to_one(table, texts[0], c))]
        )
    elif named:
        chosen = texts or chosen
    fullest = [c for c in chosen if "name" in table.header[c].lower()]
    exact = [c for c in chosen if table.header[c].lower() in LABEL_WORDS]  # `dx` beside `dx_type`
    return next((few for few in (fullest, exact) if len(few) == 1), chosen)


def box_class_column(table: Table, columns: Sequence[int]) -> int | None:
    """The column of the class of boxes; None where no column can be it.

    Raises DatasetError where several may be, where one holds words and its heading does not say what they are, and
    where cells of the one hold lists.
    """
    texts = [c for c in columns if c not in table.numeric]
    codes = [c for c in table.called(LABEL_WORDS, columns) if are_codes(table, c)]
    # Beside the codes of classes a column of words holds their names, or something else: annotators, the weather.
    names = [c for c in texts if not codes or any(_one_to_one(table, c, code) for code in codes)]
    of_words = (
        (LABEL_WORDS, texts),
        (BOX_CLASS_WORDS, names),
        (LABEL_WORDS, columns),
        (BOX_CLASS_WORDS, columns),
    )
    headless = not any(table.header)
    for words, among in of_words:
        if table.called(words, among):
            found, sure = class_columns(table, among, words), True
            break
    else:
        found = [c for c in texts if c not in table.called(OTHER_WORDS)]
        # Without headings a number may be the class as in keras-retinanet's `path,x1,y1,x2,y2,class`, else is asked for
        sure = headless and (bool(found) or list(columns) == [len(table.header) - 1])
        found = found or [c for c in columns if headless and are_codes(table, c)]
    if len(found) > sure:
        raise which_class(table, found, BOX_REMEDY)
    refuse_lists((cell for c in found for cell in class_cells(table, c)), table.named)
    return found[0] if found else None


def is_exactly_class(title: str) -> bool:
    """True if a heading is a word for the class, maybe in the plural or followed by `id`, and no other."""
    plain = re.sub(r"[^a-z0-9]", "", title.lower())
    return not {plain, plain.removesuffix("id"), plain.removesuffix("s")}.isdisjoint(LABEL_WORDS)


def are_codes(table: Table, column: int) -> bool:
    """True of a column of whole numbers, some of which return: those of classes may be."""
    values = set(table.columns[column])
    return 1 < len(values) < len(table.body) and all(value.isdecimal() for value in values if value)


def _are_dense(table: Table, column: int) -> bool:
    """True of a column of numbers that count three classes or more, each of which returns: two may be flags."""
    values = {cell for cell in class_cells(table, column) if cell}
    return 2 < len(values) <= len(table.body) / 2 and values <= {str(n) for n in range(len(values) + 1)}


def _one_to_one(table: Table, one: int, other: int) -> bool:
    pairs = set(zip(table.columns[one], table.columns[other], strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def class_cells(table: Table, column: int) -> Sequence[str]:
    """The cells of a column of classes: `1.0` as 1 where all are so, and a list of one as what it holds."""
    cells = table.columns[column]
    for form in (WHOLE, LIST_OF_ONE):
        found = {cell: form.fullmatch(cell) for cell in set(cells)}
        if all(match or not cell for cell, match in found.items()):
            return [match[match.lastindex or 0] if (match := found[cell]) else "" for cell in cells]
    return cells


def which_class(table: Table, columns: Sequence[int], remedy: str) -> DatasetError:
    """The refusal of a table several of whose columns may be the class."""
    shown = ", ".join(table.header[c] or f"column {c + 1}" for c in columns)
    return DatasetError(
        f"{table.named}: which column is the class: {printable(shown, limit=120)}?", remedy=remedy
    )


def refuse_lists(labels: Iterable[str], named: str) -> None:
    """Raise DatasetError where the cells of classes hold lists or JSON, or the boxes of an image."""
    if any(label.startswith(("[", "{")) or VALUES.search(label) for label in set(labels)):
        raise lists_of_classes(named)


def lists_of_classes(named: str) -> DatasetError:
    """The refusal of a table whose column of the class holds several in a cell."""
    return DatasetError(
        f"{named} holds lists or JSON in the column of the class.",
        remedy="Write a row for each box or image, with one class, or export as COCO.",
    )
