"""The box of one COCO annotation, its `bbox` or the extent of its outline or mask; and that outline.

Masks are kept as run lengths; here they are decoded as far as their extent needs: pycocotools reads hostile
run lengths without complaint and answers with boxes far outside the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.labels import AT_EDGE
from recommender.datasets.raw import NO_OUTLINE, Corners, Outline, RunLengths, Shape
from recommender.datasets.shapes import number
from recommender.errors import DatasetError
from recommender.text import printable

MAX_RUNS = 1_000_000
MIN_OVERLAP = 0.7  # of a bbox and the extent of its outline; rounding and amodal boxes stay above
SLACK = 2.0  # pixels
SAMPLE_ROWS = 5000  # that decide for a file
MIN_BOXES = 5  # fewer say nothing of a convention
FEW = 3  # boxes beyond the edge: annotators overshoot


def shape_of(row: dict[str, Any], where: str, log: DefectLog, *, trust_outlines: bool = True) -> Shape | None:
    """Box and outline in pixels; no outline where it is not believed. None after counting why there is no box."""
    corners = box_of(row, where, log, trust_outlines=trust_outlines)
    if corners is None:
        return None
    extent = _solid(_extent(row.get("segmentation")))
    believed = extent is not None and (trust_outlines or _overlap(corners, extent) >= MIN_OVERLAP)
    return Shape(corners, _outline(row["segmentation"]) if believed else NO_OUTLINE)


def _outline(segmentation: Any) -> Outline:
    """The outline of a `segmentation` whose extent is known to be sound."""
    if isinstance(segmentation, dict):
        height, width = segmentation["size"]
        return RunLengths(runs=_counts(segmentation) or [], width=width, height=height)
    return tuple(
        np.array(ring[: len(ring) // 2 * 2], np.float64).reshape(-1, 2) for ring in _rings(segmentation)
    )


def _rings(segmentation: list[Any]) -> list[Any]:
    """The rings of a polygon, each x1, y1, x2, …; some tools write one ring flat, or points as pairs."""
    if not segmentation or not isinstance(segmentation[0], list):
        return [segmentation]
    if all(isinstance(part, list) and len(part) == 2 for part in segmentation):
        segmentation = [segmentation]
    return [
        [value for point in ring for value in point]
        if isinstance(ring, list) and ring and all(isinstance(p, list) and len(p) == 2 for p in ring)
        else ring
        for ring in segmentation
    ]


def box_of(row: dict[str, Any], where: str, log: DefectLog, *, trust_outlines: bool = True) -> Corners | None:
    """Corners in pixels, or None after counting why there are none.

    Where `bbox` has no area or is not the extent of the outline, the outline counts, unless it is not to be
    trusted.
    """
    box, fault = _corners(_bbox(row))
    outline = _solid(_extent(row.get("segmentation")))
    shown = f"bbox {str(row.get('bbox'))[:40]}"
    if box is None and outline is not None:
        log.add(
            "label_outline" if fault is None else "label_bbox_wrong", where, "" if fault is None else shown
        )
        return outline
    if box is None:
        log.add(fault or "label_no_box", where, shown)
        return None
    if outline is not None and _overlap(box, outline) < MIN_OVERLAP:
        log.add("label_bbox_wrong" if trust_outlines else "label_outline_wrong", where, shown)
        return outline if trust_outlines else box
    return box


def outlines_count(rows: Sequence[tuple[dict[str, Any], tuple[float, float] | None]], named: str) -> bool:
    """True if outlines are to be believed where they contradict `bbox`; with each row the declared image size.

    Raises DatasetError where most rows contradict themselves and nothing tells which part is wrong.
    """
    both = [
        (box, outline, size)
        for row, size in rows[:: 1 + len(rows) // SAMPLE_ROWS]
        if (box := _corners(_bbox(row))[0]) and (outline := _solid(_extent(row.get("segmentation"))))
    ]
    contrary = [each for each in both if _overlap(each[0], each[1]) < MIN_OVERLAP]
    boxes_out = sum(_is_beyond(box, size) for box, _, size in contrary)
    outlines_out = sum(_is_beyond(outline, size) or max(outline) <= 1 for _, outline, size in contrary)
    if 2 * len(contrary) > len(both) and (boxes_out > 0) == (outlines_out > 0):
        raise DatasetError(
            f"{printable(named)}: in {len(contrary)} of {len(both)} annotations `bbox` is not the extent of the "
            "`segmentation`, and either could be right.",
            remedy="Delete the part that is wrong: without `bbox` the extent of the outline counts.",
        )
    return outlines_out <= boxes_out


def refuse_other_conventions(
    annotations: Sequence[tuple[dict[str, Any], tuple[float, float] | None]], named: str
) -> None:
    """Raise DatasetError where `bbox` is not x, y, width, height in pixels; with each row the declared image size.

    Fractions of the image, corners, and (where no outline tells) centres: all would pass for boxes, of no size or
    beyond the edge.
    """
    rows = [
        (box, size, row.get("area"))
        for row, size in annotations
        if isinstance(box := _bbox(row), list)
        and len(box) == 4
        and all(_is_number(v) and abs(v) < 1e9 for v in box)
        and any(box)
    ]
    if len(rows) < MIN_BOXES:
        return
    remedy = "Write `bbox` as x, y, width, height in pixels."
    if all(0 <= value <= 1 for box, _, _ in rows for value in box):
        raise DatasetError(f"{printable(named)}: every bbox is a fraction of the image.", remedy=remedy)
    sized = [(box, size) for box, size, _ in rows if size is not None]
    far = [
        1 for (x, y, w, h), (width, height) in sized if x + w > 1.01 * width + 2 or y + h > 1.01 * height + 2
    ]
    many_far = len(far) >= FEW and 10 * len(far) > len(sized)
    corners = [x < x2 <= width + 1 and y < y2 <= height + 1 for (x, y, x2, y2), (width, height) in sized]
    by_area = sum(_is_of_corners(box, area) for box, _, area in rows) > 0.95 * len(rows)
    outlined = any(row.get("segmentation") for row, _ in annotations)
    most_far = 2 * len(far) > len(sized) or (
        many_far and not outlined
    )  # an outline tells which part is wrong
    if by_area or (most_far and all(corners)):
        told = f"read as COCO's, {len(far)} of {len(sized)} reach beyond their image"
        raise DatasetError(
            f"{printable(named)}: bbox holds corners (x1, y1, x2, y2); {'so says `area`' if by_area else told}.",
            remedy=remedy,
        )
    centres = [
        w / 2 - 1 <= x <= width - w / 2 + 1 and h / 2 - 1 <= y <= height - h / 2 + 1
        for (x, y, w, h), (width, height) in sized
    ]
    # Of centres and sizes some box ends at the right and the lower edge, none goes far beyond it.
    right = max(((x + w / 2) / width for (x, _, w, _), (width, _) in sized), default=0.0)
    lower = max(((y + h / 2) / height for (_, y, _, h), (_, height) in sized), default=0.0)
    if many_far and all(centres) and min(right, lower) >= AT_EDGE and not outlined:
        raise DatasetError(
            f"{printable(named)}: bbox holds the centre and the size; read as COCO's, {len(far)} of {len(sized)} "
            "reach beyond their image.",
            remedy=remedy,
        )


def _is_of_corners(box: list[float], area: Any) -> bool:
    """True if the numbers of a bbox, read as corners, have the area that is given beside it, and read as COCO's not."""
    x, y, x2, y2 = box
    found = (x2 - x) * (y2 - y) if x < x2 and y < y2 else 0.0
    return (
        _is_number(area)
        and found > 0
        and abs(found - area) <= 0.01 * found
        and abs(x2 * y2 - area) > 0.1 * found
    )


def _bbox(row: dict[str, Any]) -> Any:
    """The `bbox` of an annotation, numbers written as text read."""
    box = row.get("bbox")
    if isinstance(box, str):
        box = [part.strip() for part in box.strip(" [()]").split(",")]
    return [number(v) if isinstance(v, str) else v for v in box] if isinstance(box, list) else box


def _corners(box: Any) -> tuple[Corners | None, str | None]:
    """Corners of a `bbox`, or None and the kind of its fault; no fault where there is no bbox at all."""
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        return None, None
    x, y, width, height = (float(value) if abs(value) < 1e300 else math.inf for value in box)
    if not all(map(math.isfinite, (x, y, width, height))):
        return None, "label_not_finite"
    if width < 0 or height < 0:
        return None, "label_negative"
    if width == 0 or height == 0:
        return None, "label_zero_area"
    return (x, y, x + width, y + height), None


def _solid(corners: Corners | None) -> Corners | None:
    return corners if corners and corners[0] < corners[2] and corners[1] < corners[3] else None


def _overlap(first: Corners, second: Corners) -> float:
    """Intersection over union, the corners taken as they are."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    inter = max(0.0, width) * max(0.0, height)
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (first, second)]
    # Thin objects: an outline through pixel centres is a pixel narrower than its box.
    near = all(abs(a - b) <= SLACK for a, b in zip(first, second, strict=True))
    return 1.0 if near else inter / (sum(areas) - inter)


def _is_beyond(corners: Corners, size: tuple[float, float] | None) -> bool:
    if size is None:
        return False
    return min(corners[:2]) < -SLACK or corners[2] > size[0] + SLACK or corners[3] > size[1] + SLACK


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _extent(segmentation: Any) -> Corners | None:
    if isinstance(segmentation, dict):
        return _mask_extent(segmentation)
    if not isinstance(segmentation, list):
        return None
    xs, ys = [], []
    for polygon in _rings(segmentation):
        if not isinstance(polygon, list) or len(polygon) < 6 or not all(map(_is_number, polygon)):
            return None
        xs += polygon[0::2]
        ys += polygon[1::2]
    if not xs or not ys or not all(math.isfinite(value) for value in (*xs, *ys)):
        return None
    return float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys))


def _mask_extent(mask: dict[str, Any]) -> Corners | None:
    """Extent of a run-length mask: columns from the left, in each column from the top, 0 first."""
    size = mask.get("size")
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(type(s) is int and 0 < s < 10**6 for s in size)
    ):
        return None
    height, width = size
    runs = _counts(mask)
    if not isinstance(runs, list) or len(runs) > MAX_RUNS:
        return None
    if not all(isinstance(run, int) and not isinstance(run, bool) and run >= 0 for run in runs):
        return None
    ends = list(accumulate(runs))
    if not ends or ends[-1] > height * width:
        return None
    # (first, last) pixel of every run of ones
    spans = [(ends[i - 1], ends[i] - 1) for i in range(1, len(ends), 2) if ends[i] > ends[i - 1]]
    if not spans:
        return None
    left, right = spans[0][0] // height, spans[-1][1] // height
    whole = any(first // height != last // height for first, last in spans)  # passes a column's end
    top = 0 if whole else min(first % height for first, _ in spans)
    bottom = height - 1 if whole else max(last % height for _, last in spans)
    return float(left), float(top), float(right + 1), float(bottom + 1)


def _counts(mask: dict[str, Any]) -> Any:
    counts = mask.get("counts")
    return _runs(counts) if isinstance(counts, str) else counts


def _runs(text: str) -> list[int] | None:
    """COCO's compressed counts: 5 bits a character, the sixth says more follow, then differences."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60 or len(runs) > MAX_RUNS:
            return None
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            if code & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    return runs if shift == 0 else None
