"""The objects of one image as fractions, and what of their outlines is usable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.frames import Frame
from recommender.datasets.outlines import crosses_itself, ring_area, rings_of
from recommender.datasets.raw import Float64Array, RawImage
from recommender.records import FloatArray, IntArray

Polygon = tuple[FloatArray, ...]  # rings P2 as fractions
LEAST_AREA = 1e-9  # of the image


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """Corners as fractions, not cut at the edge yet; polygons are."""

    classes_M: IntArray
    corners_M4: Float64Array
    polygons: tuple[Polygon, ...] | None = None


def checked_outlines(objects: Objects, image: RawImage, frame: Frame, log: DefectLog) -> Objects:
    """The objects with their polygons, corners the extent of these.

    An object without an outline keeps its box as one; one whose outline encloses nothing is left out. Both are
    counted.
    """
    outlines = image.outlines or ((),) * len(objects.classes_M)
    kept: list[int] = []
    corners: list[Float64Array] = []
    polygons: list[Polygon] = []
    for number, outline in enumerate(outlines):
        rings = tuple(frame.points(ring) for ring in rings_of(outline))
        if not rings:
            log.add("label_no_outline", image.name)
            rings = (_rectangle(objects.corners_M4[number]),)
        usable = tuple(ring for ring in rings if len(ring) > 2 and _encloses(ring.clip(0, 1)))
        if not usable:
            log.add("label_no_area", image.name)
            continue
        points_P2 = np.concatenate(usable)
        kept.append(number)
        corners.append(np.concatenate([points_P2.min(axis=0), points_P2.max(axis=0)]))
        polygons.append(tuple(ring.clip(0, 1).astype(np.float32) for ring in usable))
    return Objects(
        classes_M=objects.classes_M[kept],
        corners_M4=np.array(corners, np.float64).reshape(-1, 4),
        polygons=tuple(polygons),
    )


def _encloses(ring_P2: Float64Array) -> bool:
    """True if a ring has an inside; the halves of a bow tie cancel out in its area."""
    return ring_area(ring_P2) > LEAST_AREA or crosses_itself(ring_P2)


def _rectangle(corners_4: Float64Array) -> Float64Array:
    x1, y1, x2, y2 = corners_4
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
