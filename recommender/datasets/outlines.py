"""Geometry of outlines: from masks, joined to one line, drawn as masks, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.raw import Float64Array, Outline, Rings, RunLengths

RECTANGLE_TOLERANCE = 0.02  # of the extent's sides
MAX_CHECKED_POINTS = 1500  # of a ring; crossings are looked for pair by pair

Mask = NDArray[np.bool_]


def rings_of(outline: Outline) -> Rings:
    """The rings of an outline; a mask by run lengths is traced."""
    if not isinstance(outline, RunLengths):
        return outline
    values = np.zeros(len(outline.runs), np.uint8)
    values[1::2] = 1
    flat = np.zeros(outline.height * outline.width, np.uint8)
    filled = np.repeat(values, outline.runs)
    flat[: len(filled)] = filled
    return rings_of_mask(flat.reshape(outline.width, outline.height).T.astype(bool))


def rings_of_mask(mask_HW: Mask, left: float = 0.0, top: float = 0.0) -> Rings:
    """The edges of a mask's parts and holes in pixels; `left` and `top` are added.

    Traced at twice the size, a quarter pixel inside the edge: drawn again, whether rounded or cut to whole pixels,
    the rings give the same mask.
    """
    import cv2

    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    if not len(rows):
        return ()
    y, x = int(rows[0]), int(columns[0])
    part_HW = mask_HW[y : rows[-1] + 1, x : columns[-1] + 1].astype(np.uint8)
    twice_HW = part_HW.repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(twice_HW, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    offset = np.array([x + left, y + top])
    return tuple(
        (contour[:, 0].astype(np.float64) + 0.5) / 2 + offset for contour in contours if len(contour) > 2
    )


def ring_area(ring_P2: Float64Array) -> float:
    """The area within a ring, without regard to its direction."""
    x, y = ring_P2[:, 0], ring_P2[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def area_within(rings: Sequence[NDArray[np.floating[Any]]]) -> float:
    """The area within rings drawn in any direction: one within an odd number of others is a hole (even-odd rule)."""
    import cv2

    lines = [np.asarray(ring, np.float32) for ring in rings]
    total = 0.0
    for i, line in enumerate(lines):
        first = (float(line[0, 0]), float(line[0, 1]))
        around = sum(cv2.pointPolygonTest(other, first, False) > 0 for j, other in enumerate(lines) if j != i)
        total += (-1) ** around * ring_area(np.asarray(rings[i], np.float64))
    return abs(total)


def is_true_outline(outline: Outline) -> bool:
    """True if an outline says more than a box does: False without one, for rectangles and for tilted boxes."""
    if isinstance(outline, RunLengths):
        filled, gaps = set(outline.runs[1::2]), set(outline.runs[2:-1:2])
        return len(filled) > 1 or gaps != {outline.height - length for length in filled}
    if len(outline) != 1:
        return len(outline) > 1
    ring = _distinct(outline[0])
    if len(ring) < 3:
        return False
    low, high = ring.min(axis=0), ring.max(axis=0)
    sides = np.maximum(high - low, 1e-12)
    if ring_area(ring) > (1 - RECTANGLE_TOLERANCE) * float(sides.prod()):
        return False
    if len(ring) != 4:
        return True
    gap = np.abs(ring[0] + ring[2] - ring[1] - ring[3]) / sides
    return bool(gap.max() > RECTANGLE_TOLERANCE)


def _distinct(ring_P2: Float64Array) -> Float64Array:
    """The ring less points that repeat the one before, the closing one included."""
    kept = np.any(ring_P2 != np.roll(ring_P2, 1, axis=0), axis=1)
    distinct: Float64Array = ring_P2[kept]
    return distinct


def crosses_itself(ring_P2: NDArray[np.floating[Any]]) -> bool:
    """True if two sides of a ring that are no neighbours cross. Rings of very many points are taken as simple."""
    ring = _distinct(np.asarray(ring_P2, np.float64))
    count = len(ring)
    if not 4 <= count <= MAX_CHECKED_POINTS:
        return False
    a, b = ring, np.roll(ring, -1, axis=0)
    d1 = _turns(a[:, None], b[:, None], a[None])
    d2 = _turns(a[:, None], b[:, None], b[None])
    apart = d1 * d2 < 0  # the ends of side j lie on both sides of side i
    crossing = apart & apart.T
    return bool(crossing.any())


def _turns(a: Any, b: Any, c: Any) -> Any:
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (
        c[..., 0] - a[..., 0]
    )


def joined(rings: Sequence[NDArray[np.floating[Any]]]) -> Float64Array:
    """All rings as one line P2, each reached and left over the shortest bridge: what YOLO's labels can hold.

    By the even-odd rule the bridges enclose nothing, so holes stay holes and parts stay apart.
    """
    ordered = sorted((np.asarray(ring, np.float64) for ring in rings), key=ring_area, reverse=True)
    line: Float64Array = ordered[0]
    for ring in ordered[1:]:
        distance = np.square(line[:, None] - ring[None]).sum(axis=2)
        at, start = np.unravel_index(int(distance.argmin()), distance.shape)
        turned = np.roll(ring, -int(start), axis=0)
        line = np.concatenate([line[: at + 1], turned, turned[:1], line[at:]])
    return line


def draw_mask(rings: Sequence[NDArray[np.floating[Any]]], width: int, height: int) -> Mask:
    """The pixels HW within the rings, given as fractions of the image."""
    import cv2

    mask_HW = np.zeros((height, width), np.uint8)
    scale = np.array([width, height], np.float64)
    # Cut to whole pixels, as ultralytics does; the small addend makes up for fractions kept in 32 bits.
    lines = [(np.asarray(ring, np.float64) * scale + 1e-3).astype(np.int32) for ring in rings]
    cv2.fillPoly(mask_HW, lines, 1)
    drawn: Mask = mask_HW.astype(bool)
    return drawn


def simplified(ring_P2: NDArray[np.floating[Any]], tolerance: float) -> Float64Array:
    """The ring with fewer points, none of it further than `tolerance` from where it was."""
    import cv2

    short = cv2.approxPolyDP(np.asarray(ring_P2, np.float32)[:, None], tolerance, True)
    return np.asarray(short[:, 0], np.float64)
