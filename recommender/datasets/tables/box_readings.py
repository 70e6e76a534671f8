"""The meaning of the four numbers of boxes in tables: corners, or an upper left corner or a centre with a size; in
pixels or as fractions. What headings leave open the boxes tell: one that puts them outside their images is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from recommender.datasets.raw import Float64Array
from recommender.datasets.shapes import number
from recommender.datasets.tables.text import with_point
from recommender.errors import DatasetError
from recommender.text import printable

Reading = Literal["corners", "upper left and size", "centre and size"]
Units = Literal["fraction", "pixel"]
CORNERS: tuple[Reading, ...] = ("corners",)
FROM_CORNER: tuple[Reading, ...] = ("upper left and size",)
FROM_CENTRE: tuple[Reading, ...] = ("centre and size",)
EITHER: tuple[Reading, ...] = ("upper left and size", "centre and size")
ANY: tuple[Reading, ...] = ("corners", *EITHER)
SLACK = 1.5  # pixels: rounding, and Pascal VOC's shift by one
FEW = 3  # boxes outside prove nothing: annotators overshoot
NOISE = 0.1  # of the boxes may lie outside in the right reading, or be fractions among pixels
MANY = 20  # boxes, none of which passes the middle of its image
REMEDY = (
    "Head the columns by what they hold: filename, class, and xmin, ymin, xmax, ymax, or xmin, ymin, width, height, "
    "or x_center, y_center, width, height. Or export as COCO or YOLO."
)


def number_in(cell: str) -> float:
    """The number of a cell, also with a decimal comma; NaN of any other."""
    return number(with_point(cell))


def units_of(values_N4: Float64Array, named: str) -> Units:
    """Fractions of the image or pixels. Raises DatasetError where some boxes are the one and some the other."""
    largest_N = values_N4.max(axis=1)
    num_fractions = int((largest_N <= 1).sum())
    if num_fractions <= NOISE * len(values_N4):
        return "pixel"
    if len(values_N4) - num_fractions <= NOISE * len(values_N4) and largest_N.max() < 2:  # over the edge
        return "fraction"
    raise DatasetError(
        f"{printable(named)}: {num_fractions} of {len(values_N4)} boxes are fractions of the image, the others pixels.",
        remedy="Write all boxes in pixels.",
    )


def reading_of(
    values_N4: Float64Array, sizes_N2: Float64Array, readings: Sequence[Reading], units: Units, named: str
) -> Reading:
    """The one of `readings` that keeps boxes within images of these sizes in pixels; the first where there are none.

    Raises DatasetError where another does so nearly as well, where none does, and where all boxes lie in a corner.
    """
    if not len(values_N4):
        return readings[0]
    outside = {each: _num_outside(values_N4, sizes_N2, each, units) for each in readings}
    best = min(readings, key=outside.__getitem__)
    if outside[best] > max(FEW, NOISE * len(values_N4)):
        raise DatasetError(
            f"{printable(named)}: read as {best}, {outside[best]} of {len(values_N4)} boxes reach beyond their images "
            "or are turned inside out.",
            remedy=REMEDY,
        )
    rival = next(
        (each for each in readings if each != best and outside[each] < FEW * (1 + outside[best])), None
    )
    if rival is not None:
        raise DatasetError(
            f"{printable(named)}: the boxes may be {best} or {rival}, and either keeps them within their images.",
            remedy=REMEDY,
        )
    reach_N2 = corners_of(values_N4, best)[:, 2:] / (sizes_N2 if units == "pixel" else 1.0)
    if len(reach_N2) >= MANY and reach_N2.max() <= 0.5:
        raise DatasetError(
            f"{printable(named)}: every box lies in the upper left quarter of its image: pixels of smaller images, or "
            "percent?",
            remedy="Write the boxes in pixels of the images as they are.",
        )
    return best


def corners_of(values_N4: Float64Array, reading: Reading) -> Float64Array:
    """The corners x1, y1, x2, y2 of boxes that are written so."""
    starts_N2, ends_N2 = values_N4[:, :2], values_N4[:, 2:]
    if reading == "corners":
        return values_N4
    if reading == "centre and size":
        starts_N2 = starts_N2 - ends_N2 / 2
    return np.hstack([starts_N2, starts_N2 + ends_N2])


def is_order_open(values_N4: Float64Array, sizes_N2: Float64Array, reading: Reading, units: Units) -> bool:
    """True if y before x would keep boxes that are written so within images of these sizes nearly as well."""
    turned = _num_outside(values_N4[:, [1, 0, 3, 2]], sizes_N2, reading, units)
    return turned < FEW * (1 + _num_outside(values_N4, sizes_N2, reading, units))


def _num_outside(values_N4: Float64Array, sizes_N2: Float64Array, reading: Reading, units: Units) -> int:
    """The number of boxes written so that reach beyond their image, or end before they begin."""
    corners_N4 = corners_of(values_N4, reading)
    if units == "fraction":
        corners_N4 = corners_N4 * np.tile(sizes_N2, 2)
    inverted_N = (corners_N4[:, :2] > corners_N4[:, 2:]).any(axis=1)
    beyond_N = (corners_N4[:, :2] < -SLACK).any(axis=1) | (corners_N4[:, 2:] > sizes_N2 + SLACK).any(axis=1)
    return int((inverted_N | beyond_N).sum())
