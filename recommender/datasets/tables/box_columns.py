"""The columns of a table that hold the four numbers of a box, by their headings; without any, by what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recommender.datasets.tables.box_readings import (
    ANY,
    CORNERS,
    EITHER,
    FROM_CENTRE,
    FROM_CORNER,
    Reading,
    number_in,
)
from recommender.datasets.tables.classes import are_codes
from recommender.datasets.tables.rows import Table
from recommender.datasets.tables.text import SAMPLED, is_number
from recommender.errors import DatasetError, WrongTaskError

# What heads the upper left and the lower right corner; the axis stands before it or behind.
WORDS = (
    *[("min", "max"), ("0", "1"), ("1", "2"), ("start", "end"), ("tl", "br"), ("ul", "lr")],
    *[("topleft", "bottomright"), ("upperleft", "lowerright"), ("upperleftcorner", "lowerrightcorner")],
)
HEADS = (
    *((f"x{start} y{start}", f"x{end} y{end}") for start, end in WORDS),
    *((f"{start}x {start}y", f"{end}x {end}y") for start, end in WORDS),
    *[("left top", "right bottom"), ("xleft ytop", "xright ybottom"), ("minc minr", "maxc maxr")],
    *[("colmin rowmin", "colmax rowmax"), ("mincol minrow", "maxcol maxrow")],
)
CENTRE = ("xcenter ycenter", "xcentre ycentre", "centerx centery", "cx cy", "xc yc")
SIZES = ("w h", "width height")  # `width` beside `w` is the image's
# Headings of the four columns, without marks; the first that are all there count.
HEADINGS: tuple[tuple[str, tuple[Reading, ...]], ...] = (
    *((f"{start} {end}", CORNERS) for start, end in HEADS),
    *((f"{start} {size}", FROM_CORNER) for start, _ in HEADS for size in SIZES),
    *((f"{start} {size}", FROM_CENTRE) for start in CENTRE for size in SIZES),
    *((f"x y {size}", EITHER) for size in SIZES),
    *((" ".join(f"bbox{n + first}" for n in range(4)), ANY) for first in (0, 1)),
)
BEFORE_AND_BEHIND = re.compile(r"(.*(?:bbox|bndbox|box|roi))?(.*?)(?:norm(?:ali[sz]ed)?|rel|px|pixels?)?")
MAX_TITLE = 100  # characters of a heading that are looked at
ONE_CELL = re.compile(r"(b|bounding)?box(es)?(string)?")
NOTHING = ("", "nan", "none", "null", "na", "n/a", "-", "[]")
ANGLE = re.compile(r"(?i)(b?box_)?(angle|theta|rotation)")  # no `camera_angle`, no KITTI's `rotation_y`
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


@dataclass(frozen=True, kw_only=True)
class BoxColumns:
    """The columns of a box, four or one that holds all four values, and the readings that their headings allow.

    None of either for four corners, which are no upright box, and for two boxes a row.
    """

    columns: tuple[int, ...]
    readings: tuple[Reading, ...]


def box_headings(header: Sequence[str]) -> BoxColumns | None:
    """The columns of boxes by their headings; None where these name none."""
    plain = [re.sub(r"[^a-z0-9]", "", title[:MAX_TITLE].lower()) for title in header]
    parts = [match.groups() for title in plain if (match := BEFORE_AND_BEHIND.fullmatch(title))]
    of_box = sum(1 for before, behind in parts if before and behind) >= 4  # then `width` is the image's
    short = [behind if before or not of_box else "" for before, behind in parts]
    if not {"x3", "x11", "xmin1"}.isdisjoint((*plain, *short)):  # four corners, or a second box
        return BoxColumns(columns=(), readings=())
    for headings, readings in HEADINGS:
        for titles in (plain, short):
            often = [titles.count(heading) for heading in headings.split()]
            if min(often) == 1 == max(often):
                return BoxColumns(columns=tuple(map(titles.index, headings.split())), readings=readings)
            if min(often) > 1:  # two boxes
                return BoxColumns(columns=(), readings=())
    whole = [c for c, title in enumerate(plain) if ONE_CELL.fullmatch(title)]
    return BoxColumns(columns=(whole[0],), readings=ANY) if len(whole) == 1 else None


def box_columns(table: Table) -> BoxColumns | None:
    """The columns of boxes in a table; without a heading four numbers side by side. None where there are none."""
    found = box_headings(table.header)
    if found is not None or any(table.header) or len(table.header) < 5:
        return found
    # e for empty cells, n for numbers and t for text
    kinds = "".join(
        "e" if not any(cells) else "n" if all(map(is_number, cells)) else "t"
        for cells in (cells[:SAMPLED] for cells in table.columns)
    )
    if run := re.search(r"(?<!n)n{4}(?!n)", kinds):
        four = tuple(range(*run.span()))
        flags = {cell for c in four for cell in table.columns[c][:SAMPLED]} <= {"0", "1"}
        return None if flags else BoxColumns(columns=four, readings=ANY)
    # Google's AutoML: two corners or all four
    if run := re.search(r"(?<!n)nn(ee|nn)nn(ee|nn)(?!n)", kinds):
        first = run.start()
        return BoxColumns(columns=(first, first + 1, first + 4, first + 5), readings=CORNERS)
    # Beside the number of a class: those four that alone never end before they begin, as sizes may, too
    runs = [range(*run.span()) for run in re.finditer(r"n{5,6}", kinds)]
    fours = [(run, tuple(range(c, c + 4))) for run in runs for c in run[:-3]]
    ordered = [
        (run, four)
        for run, four in fours
        if all(map(_is_ordered, zip(*(table.columns[c] for c in four), strict=True)))
    ]
    if len(ordered) != 1 or not any(_are_classes(table, c) for c in {*ordered[0][0]} - {*ordered[0][1]}):
        return None
    return BoxColumns(columns=ordered[0][1], readings=ANY)


def _are_classes(table: Table, column: int) -> bool:
    """True of a column that may hold the numbers of classes, or of the only one."""
    return are_codes(table, column) or set(table.columns[column]) <= {"0", "1"}


def _is_ordered(cells: Sequence[str]) -> bool:
    x1, y1, x2, y2 = map(number_in, cells)
    return (x1 < x2 and y1 < y2) or not any(cells)


def refuse_unserved(table: Table, boxes: BoxColumns) -> None:
    """Raise WrongTaskError for boxes with angles, DatasetError for Label Studio's, which are percents."""
    turned = boxes.readings in (FROM_CENTRE, EITHER) and any(
        ANGLE.fullmatch(table.header[c])
        and any(number_in(cell or "0") != 0 for cell in set(table.columns[c]))
        for c in table.numeric
    )
    if turned:
        raise WrongTaskError(
            f"{table.named} holds boxes with angles: oriented boxes, which are not served.",
            remedy="Write upright boxes around them, or delete the column where it tells of something else.",
        )
    if "box_original_width" in table.header:
        raise DatasetError(
            f"{table.named} is Label Studio's CSV, whose boxes are percent of the images.",
            remedy="Export JSON from Label Studio.",
        )


def has_scores(table: Table, boxes: BoxColumns) -> bool:
    """True of a detector's results: most rows hold a score, that is a fraction or percents; annotations are sure.

    The column is called so. Without any heading, one beside the box of fractions between 0 and 1 is taken for it.
    """
    beside = [c for c in range(len(table.header)) if c not in boxes.columns]
    adjoining = boxes.columns[-1] - boxes.columns[0] < 4  # AutoML repeats corners between and behind
    unnamed = beside if adjoining and not any(table.header) else []

    def values(c: int) -> list[float]:
        return [number_in(cell.removesuffix("%").rstrip()) for cell in table.columns[c]]

    def many(holds: Iterable[bool]) -> bool:
        return 2 * sum(holds) > len(table.body)

    return any(
        many(value % 1 > 0 or MAX_GRADE < value < 100 for value in values(c))
        for c in table.called(SCORE_WORDS, beside)
    ) or any(many(0 < value < 1 for value in values(c)) for c in unnamed)
