"""Boxes and outlines from the shapes that annotation tools know, each value checked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.defects import DefectLog
from recommender.datasets.outlines import rings_of_mask
from recommender.datasets.raw import Corners, Shape

MAX_VALUE = 1e9
ELLIPSE_POINTS = 64


def number(value: Any) -> float:
    """A finite number, also of a text; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if abs(found) < MAX_VALUE else math.nan


def box_from_corners(corners: Iterable[Any], where: str, log: DefectLog) -> Corners | None:
    """x1, y1, x2, y2 in order; None after counting a fault."""
    x1, y1, x2, y2 = map(number, corners)
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        log.add("label_not_finite", where)
        return None
    if x1 > x2 or y1 > y2:
        log.add("label_corners_swapped", where)
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if x1 == x2 or y1 == y2:
        log.add("label_zero_area", where)
        return None
    return x1, y1, x2, y2


def box_from_size(values: Iterable[Any], where: str, log: DefectLog) -> Corners | None:
    """The corners from x and y of the upper left corner, width and height; None after counting a fault."""
    left, top, w, h = map(number, values)
    if w < 0 or h < 0:
        log.add("label_negative", where)
        return None
    return box_from_corners((left, top, left + w, top + h), where, log)


def box_from_points(points: Any, where: str, log: DefectLog) -> Corners | None:
    """The extent of a list of x, y pairs; None after counting a fault."""
    pairs = _pairs(points, where, log)
    if pairs is None:
        return None
    xs, ys = zip(*pairs, strict=True)
    return box_from_corners((min(xs), min(ys), max(xs), max(ys)), where, log)


def outline_from_points(points: Any, where: str, log: DefectLog, holes: Iterable[Any] = ()) -> Shape | None:
    """An outline, a list of x, y pairs, less its holes; None after counting a fault."""
    log.add("label_outline", where)
    pairs = _pairs(points, where, log)
    corners = None if pairs is None else box_from_points(pairs, where, log)
    if pairs is None or corners is None:
        return None
    inner = [found for hole in holes if (found := _pairs(hole, where, log)) is not None]
    return Shape(corners, tuple(np.array(ring, np.float64) for ring in (pairs, *inner)))


def outline_from_ellipse(values: Iterable[Any], where: str, log: DefectLog) -> Shape | None:
    """An upright ellipse by the x and y of its centre and its two radii; None after counting a fault."""
    x, y, w, h = map(number, values)
    corners = box_from_size((x - w, y - h, 2 * w, 2 * h), where, log)
    if corners is None:
        return None
    turn = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS, endpoint=False)
    return Shape(corners, (np.stack([x + w * np.cos(turn), y + h * np.sin(turn)], axis=1),))


def outline_from_mask(
    mask_HW: NDArray[np.bool_], left: float, top: float, where: str, log: DefectLog
) -> Shape | None:
    """The outline of a mask whose upper left corner lies there; None after counting a fault."""
    rings = rings_of_mask(mask_HW, left, top)
    if not rings:
        log.add("label_no_area", where)
        return None
    log.add("label_outline", where)
    ys, xs = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    corners = box_from_corners(
        (left + xs.min(), top + ys.min(), left + xs.max() + 1, top + ys.max() + 1), where, log
    )
    return None if corners is None else Shape(corners, rings)


def _pairs(points: Any, where: str, log: DefectLog) -> list[tuple[float, float]] | None:
    rows = points if isinstance(points, list) else []
    pairs = [(number(p[0]), number(p[1])) for p in rows if isinstance(p, list | tuple) and len(p) >= 2]
    if len(pairs) < 2 or len(pairs) != len(rows):
        log.add("label_no_box", where)
        return None
    if not all(math.isfinite(value) for pair in pairs for value in pair):
        log.add("label_not_finite", where)
        return None
    return pairs


def box_from_centre(values: Iterable[Any], where: str, log: DefectLog) -> Corners | None:
    """The corners from x and y of the centre, width and height; None after counting a fault."""
    x, y, w, h = map(number, values)
    return box_from_size((x - w / 2, y - h / 2, w, h), where, log)


def text(value: Any) -> str:
    """A class name; empty when it is no text."""
    return value.strip() if isinstance(value, str) else ""
