"""Columns of tables: which names the image, which the class, the split or the box, by heading and by what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recommender.datasets.disk import Disk
from recommender.datasets.label_rows import SAMPLED
from recommender.datasets.matching import spellings
from recommender.datasets.shapes import number
from recommender.datasets.split_names import apart, split_of_words
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import printable

PICTURE_WORDS = (
    "file",
    "filename",
    "image",
    "img",
    "path",
    "filepath",
    "photo",
    "picture",
    "imageid",
    "frame",
)
FILE_WORDS = (*PICTURE_WORDS, "id", "name")
LABEL_WORDS = (
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
    "clase",
    "classe",
    "klasse",
    "kategorie",
    "categoria",
)
CLASS_WORDS = (*LABEL_WORDS, "classname", "labelname", "object")  # in whose columns `train` goes on rails
BOX_CLASS_WORDS = ("classname", "classid", "labelname", "name", "object", "type")
# Of a column of words beside boxes: no class, such as Global Wheat's laboratories and Open Images' annotators.
OTHER_WORDS = ("source", "domain", "id", "url", "date", "time", "timestamp", "comment", "user", "usage")
SCORE_WORDS = (
    "score",
    "confidence",
    "conf",
    "probability",
    "probabilities",
    "prob",
    "certainty",
    "likelihood",
)
MAX_GRADE = 10  # whole numbers up to this may be grades that an annotator gave; those above are percents
DIVIDING_WORDS = ("split", "subset", "usage", "partition")
SPLIT_WORDS = (*DIVIDING_WORDS, "set", "phase")  # the set of a toy, the phase of an operation
SPLIT_FLAG = re.compile(r"(?i)is[_ ]?(train|training|val|valid|validation|test)")  # fast.ai's `is_valid`
ON = frozenset({"1", "1.0", "true"})
FLAGS = ON | {"0", "-1", "0.0", "false"}
BOX_CLASS_REMEDY = (
    "Call the column of the class `class`, and delete the others; delete all where there is one class. Where another "
    "table holds the boxes, give that file."
)
# Four numbers: boxes of an image, in one cell. Begun at whole numbers, else a long cell of digits takes hours.
VALUES = re.compile(r"(?<![\d.])(?:-?\d+(?:\.\d*)?\s+){3}-?\d")
DECIMAL_COMMA = re.compile(r"\A(?!-?[1-9]\d{0,2},\d{3}\Z)(-?\d+),(\d+)\Z")  # 1,234 may be a thousand
MIN_SHARE = 0.5  # of these rows that name an image

Reading = Literal["corners", "upper left and size", "centre and size"]
CORNERS: tuple[Reading, ...] = ("corners",)
FROM_CORNER: tuple[Reading, ...] = ("upper left and size",)
FROM_CENTRE: tuple[Reading, ...] = ("centre and size",)
EITHER: tuple[Reading, ...] = ("upper left and size", "centre and size")
ANY: tuple[Reading, ...] = ("corners", *EITHER)
UPPER_LEFT = ("xmin ymin", "left top", "x0 y0", "x1 y1")
CENTRE = ("xcenter ycenter", "xcentre ycentre", "centerx centery", "cx cy", "xc yc")
SIZES = ("w h", "width height")  # `width` beside `w` is the image's
# Headings of the four columns, without marks and without `bbox` before them; the first that are all there count.
HEADINGS: tuple[tuple[str, tuple[Reading, ...]], ...] = (
    ("xmin ymin xmax ymax", CORNERS),
    ("minx miny maxx maxy", CORNERS),
    ("x0 y0 x1 y1", CORNERS),
    ("x1 y1 x2 y2", CORNERS),
    ("left top right bottom", CORNERS),
    ("xtl ytl xbr ybr", CORNERS),
    *((f"{start} {size}", FROM_CORNER) for start in UPPER_LEFT for size in SIZES),
    *((f"{start} {size}", FROM_CENTRE) for start in CENTRE for size in SIZES),
    ("x y w h", EITHER),
    ("x y width height", EITHER),
)
ONE_CELL = re.compile(r"(b|bounding)?box(es)?(string)?")


@dataclass(frozen=True, kw_only=True)
class BoxColumns:
    """The columns of a box, four or one that holds all four values, and the readings that their headings allow.

    None of either for four corners, which are no upright box, and for two boxes a row.
    """

    columns: tuple[int, ...]
    readings: tuple[Reading, ...]
    headed: bool = True


def box_columns(rows: Sequence[Sequence[str]]) -> BoxColumns | None:
    """The columns of boxes in a table; without a heading four numbers side by side. None where there are none."""
    if not rows:
        return None
    plain = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in rows[0]]
    of_box = [
        match[1] if (match := re.fullmatch(r"(?:bbox|bndbox|box|roi)([a-z].*)", cell)) else ""
        for cell in plain
    ]
    short = (
        of_box if len(list(filter(None, of_box))) >= 4 else plain
    )  # `width` beside `bbox_width` is the image's
    if not {"x3", "x11", "xmin1"}.isdisjoint(short):  # four corners, or a second box
        return BoxColumns(columns=(), readings=())
    for headings, readings in HEADINGS:
        if all(short.count(heading) == 1 for heading in headings.split()):
            return BoxColumns(columns=tuple(map(short.index, headings.split())), readings=readings)
    whole = [c for c, cell in enumerate(plain) if ONE_CELL.fullmatch(cell)]
    if len(whole) == 1:
        return BoxColumns(columns=(whole[0],), readings=ANY)
    sample = [row for row in rows[:SAMPLED] if len(row) == len(rows[0])]
    if len(sample) < len(rows[:SAMPLED]) or len(rows[0]) < 5:
        return None
    kinds = "".join(_kind([row[c] for row in sample]) for c in range(len(rows[0])))
    found = re.search(r"(?<!n)n{4}(?!n)", kinds)
    if found and not {cell for row in sample for cell in row[slice(*found.span())]} <= {"0", "1"}:  # flags
        return BoxColumns(columns=tuple(range(*found.span())), readings=ANY, headed=False)
    if found := re.search(
        r"(?<!n)nn(ee|nn)nn(ee|nn)(?!n)", kinds
    ):  # Google's AutoML: two corners or all four
        first = found.start()
        return BoxColumns(columns=(first, first + 1, first + 4, first + 5), readings=CORNERS, headed=False)
    return None


def _kind(cells: Sequence[str]) -> str:
    """e for empty cells, n for numbers and t for text."""
    if not any(cells):
        return "e"
    return "n" if all(map(is_number, cells)) else "t"


def file_column(
    header: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[int], known: set[str]
) -> int | None:
    """The one of `columns` whose cells name images, best by words and below a heading that says so; None without."""
    body = [row for row in body if len(row) == len(header)]
    sample = body[:: 1 + len(body) // SAMPLED]
    named = {c: sum(names_image(row[c], known) for row in sample) for c in columns}

    def rank(c: int) -> tuple[bool, bool, bool, bool, int, int]:
        """Numbers may be those of rows or classes: `image_id` before `id`, and what differs most before others."""
        numbers, called = all(is_number(row[c]) for row in sample), is_called(header[c], FILE_WORDS)
        pictured, classes = is_called(header[c], PICTURE_WORDS), is_called(header[c], CLASS_WORDS)
        return numbers, classes, not called, not pictured, -named[c], -len({row[c] for row in body})

    return min((c for c in columns if named[c] > MIN_SHARE * len(sample)), key=rank, default=None)


def class_columns(
    header: Sequence[str],
    body: Sequence[Sequence[str]],
    columns: Sequence[int],
    words: Sequence[str] = LABEL_WORDS,
) -> list[int]:
    """The columns that may hold the class: called so, else the only one; of a number and a name, the name."""
    chosen = [c for c in columns if is_called(header[c], words)]
    chosen = chosen or (list(columns) if len(columns) == 1 else [])
    texts = [c for c in (chosen or columns) if not all(is_number(row[c]) for row in body)]
    if chosen or not any(header):
        chosen = texts or chosen
    if len(chosen) > 1:
        exact = [c for c in chosen if header[c].lower() in LABEL_WORDS]  # `dx` beside `dx_type`
        fullest = [c for c in chosen if "name" in header[c].lower()]
        chosen = next((few for few in (fullest, exact) if len(few) == 1), chosen)
    return chosen


def box_class_column(
    header: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[int], named: str
) -> int | None:
    """The column of the class of boxes; None where no column can be it.

    Raises DatasetError where several may be, where one holds words and its heading does not say what they are, and
    where cells of the one hold lists.
    """
    texts = [c for c in columns if not all(is_number(row[c]) for row in body)]
    codes = [
        c for c in columns if c not in texts and is_called(header[c], LABEL_WORDS) and _are_codes(body, c)
    ]
    # Beside the codes of classes a column of words holds their names, or something else: annotators, the weather.
    names = [c for c in texts if not codes or any(_one_to_one(body, c, code) for code in codes)]
    of_words = [
        (LABEL_WORDS, texts),
        (BOX_CLASS_WORDS, names),
        (LABEL_WORDS, columns),
        (BOX_CLASS_WORDS, columns),
    ]
    for words, among in of_words:
        if any(is_called(header[c], words) for c in among):
            found = class_columns(header, body, among, words)
            break
    else:
        found = [c for c in texts if not is_called(header[c], OTHER_WORDS)]
        unsure = found if any(header) else [c for c in columns if not found and _are_codes(body, c)]
        if unsure:
            raise which_class(header, unsure, named, BOX_CLASS_REMEDY)
    if len(found) > 1:
        raise which_class(header, found, named, BOX_CLASS_REMEDY)
    refuse_lists((row[c] for row in body for c in found), named)
    return found[0] if found else None


def _are_codes(body: Sequence[Sequence[str]], column: int) -> bool:
    values = {row[column] for row in body}
    return 1 < len(values) < len(body) and all(value.isdecimal() for value in values if value)


def _one_to_one(body: Sequence[Sequence[str]], one: int, other: int) -> bool:
    pairs = {(row[one], row[other]) for row in body}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def class_in(cell: str) -> str:
    """The class that a cell names; empty of R's `NA`, which stands for a cell without a value."""
    return "" if cell == "NA" else cell


def has_scores(header: Sequence[str], body: Sequence[Sequence[str]], boxes: BoxColumns) -> bool:
    """True of a detector's results: most rows hold a score, that is a fraction or percents; annotations are sure.

    The column is called so. Without any heading, one beside the box of fractions between 0 and 1 is taken for it.
    """
    beside = [c for c in range(len(header)) if c not in boxes.columns]
    called = [c for c in beside if is_called(header[c], SCORE_WORDS)]
    adjoining = boxes.columns[-1] - boxes.columns[0] < 4  # AutoML repeats corners between and behind
    unnamed = beside if adjoining and not any(header) else []

    def many(holds: Iterable[bool]) -> bool:
        return 2 * sum(holds) > len(body)

    return any(
        many(value % 1 > 0 or MAX_GRADE < value < 100 for value in _values(body, c)) for c in called
    ) or any(many(0 < value < 1 for value in _values(body, c)) for c in unnamed)


def _values(body: Sequence[Sequence[str]], column: int) -> list[float]:
    return [number(with_point(row[column].removesuffix("%").rstrip())) for row in body]


def with_point(cell: str) -> str:
    """A number with a decimal comma written with a point; other cells as they are."""
    return DECIMAL_COMMA.sub(r"\1.\2", cell)


def which_class(header: Sequence[str], columns: Sequence[int], named: str, remedy: str) -> DatasetError:
    """The refusal of a table several of whose columns may be the class."""
    shown = ", ".join(header[c] or f"column {c + 1}" for c in columns)
    return DatasetError(
        f"{printable(named)}: which column is the class: {printable(shown, limit=120)}?", remedy=remedy
    )


def refuse_lists(labels: Iterable[str], named: str) -> None:
    """Raise DatasetError where the cells of classes hold lists or JSON, or the boxes of an image."""
    if any(label.startswith(("[", "{")) or VALUES.search(label) for label in set(labels)):
        raise DatasetError(
            f"{printable(named)} holds lists or JSON in the column of the class.",
            remedy="Write a row for each box or image, with one class, or export as COCO.",
        )


def row_splits(
    header: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[int], named: str
) -> tuple[tuple[int, ...], list[Split | None]]:
    """The columns that tell splits, one of words or some of flags such as `is_valid`, and the split of each row.

    Raises DatasetError where a column called so holds other words beside.
    """
    column = _split_column(header, body, columns, named)
    if column is not None:
        return (column,), [split_of_words(row[column]) for row in body]
    flags = {c: split for c in columns if (split := _flagged(header[c], [row[c].lower() for row in body]))}
    others: tuple[Split, ...] = ("train", "test", "val")
    rest = next((split for split in others if flags and split not in flags.values()), None)
    return tuple(flags), [
        next((split for c, split in flags.items() if row[c].lower() in ON), rest) for row in body
    ]


def _flagged(title: str, cells: Sequence[str]) -> Split | None:
    """The split that a column of flags tells; None of others, and where most rows are valid: that is no split."""
    found = SPLIT_FLAG.fullmatch(title.strip())
    if found is None or not set(cells) <= FLAGS or ON.isdisjoint(cells) or ON.issuperset(cells):
        return None
    sound = found[1].lower() == "valid" and 2 * sum(cell in ON for cell in cells) > len(cells)
    return None if sound else split_of_words(found[1])


def _split_column(
    header: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[int], named: str
) -> int | None:
    """The column whose cells are splits; None where there is none.

    Raises DatasetError where a column called so holds other words: in few rows, or in any where it is surely one.
    """
    classes = [c for c in columns if is_called(header[c], CLASS_WORDS)]
    for c in columns:
        sample = [row[c] for row in body[:: 1 + len(body) // SAMPLED] if row[c]]
        known = sum(split_of_words(cell) is not None for cell in sample)
        dividing = is_called(header[c], DIVIDING_WORDS) and not is_called(header[c], CLASS_WORDS)
        if not known or (2 * known <= len(sample) and not dividing):
            continue
        values = {row[c].lower() for row in body}
        other = min((value for value in values if value and split_of_words(value) is None), default=None)
        if is_called(header[c], SPLIT_WORDS) and other:
            raise DatasetError(
                f"{printable(named)}: which split is '{printable(other)}' in the column {printable(header[c])}?",
                remedy="Write train, val or test, or delete the column.",
            )
        called = is_called(header[c], CLASS_WORDS) and (classes == [c] or len(values) == 1)
        trained = not called and not values.isdisjoint({"train", "training"})
        if not other and (trained or is_called(header[c], SPLIT_WORDS)):
            return c
    return None


def known_names(root: Path, disk: Disk) -> set[str]:
    """The names of all images, with and without suffix, as `names_image` compares them."""
    return {spellings(text)[2] for path in disk.images(root) for text in (path.name, path.stem)}


def names_image(value: str, known: set[str]) -> bool:
    """True if text ends in one of the `known` names."""
    found = spellings(value.strip().replace("\\", "/").rpartition("/")[2])
    return any(last and (last in known or Path(last).stem in known) for last in found[2:])


def is_called(title: str, words: Sequence[str]) -> bool:
    """True if one of the words stands in a heading, alone or in the plural."""
    parts = [part for part in re.split(r"[^a-z0-9]+", apart(title).lower()) if part]
    return any(part in words or part.removesuffix("s") in words for part in parts)


def is_exactly(title: str, words: Sequence[str]) -> bool:
    """True if a heading is one of the words, maybe in the plural or followed by `id`, and no other."""
    plain = re.sub(r"[^a-z0-9]", "", title.lower())
    return not {plain, plain.removesuffix("id"), plain.removesuffix("s")}.isdisjoint(words)


def is_number(value: str) -> bool:
    """True of a cell that is a number or empty."""
    try:
        float(value)
    except ValueError:
        return not value
    return True
