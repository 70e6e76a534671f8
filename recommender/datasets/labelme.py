"""LabelMe: one JSON an image, `shapes` in pixels, `imagePath` beside it."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.images import decode_stencil
from recommender.datasets.json_text import load_json
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import Corners, RawSet, Shape
from recommender.datasets.shapes import (
    box_from_points,
    number,
    outline_from_ellipse,
    outline_from_mask,
    outline_from_points,
    text,
)
from recommender.errors import DatasetError


def read_labelme(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the JSON files that hold `shapes`; classes are sorted by name."""
    entries = []
    for path in paths:
        try:
            content = load_json(path, disk)
        except DatasetError as error:
            log.add("label_unreadable", disk.name(path), error.message)
            continue
        if isinstance(content, dict) and isinstance(content.get("shapes"), list):
            entries.append(_image(content, path, disk, log))
    return named_set(entries, format="labelme", root=root, disk=disk, log=log, name=name, background=True)


def _image(content: dict[str, Any], path: Path, disk: Disk, log: DefectLog) -> NamedImage:
    where = disk.name(path)
    shapes = content["shapes"][: disk.limits.label_rows]
    width, height = number(content.get("imageWidth")), number(content.get("imageHeight"))
    reference = text(content.get("imagePath")) or path.stem
    return NamedImage(
        reference=reference,
        near=path,
        objects=tuple(
            _object(shape, f"{where}: shape {n}", disk.limits.image_pixels, log)
            for n, shape in enumerate(shapes)
        ),
        size=(width, height) if width > 0 and height > 0 else None,
    )


def _object(shape: Any, where: str, max_pixels: int, log: DefectLog) -> Object:
    if not isinstance(shape, dict) or not text(shape.get("label")):
        log.add("label_class_unknown", where, "no label")
        return "", None
    return text(shape["label"]), _box(shape, where, max_pixels, log)


def _box(shape: dict[str, Any], where: str, max_pixels: int, log: DefectLog) -> Corners | Shape | None:
    points, kind = shape.get("points"), shape.get("shape_type") or "polygon"
    if kind == "circle" and isinstance(points, list) and len(points) == 2:  # centre, a point on the circle
        try:
            (cx, cy), (x, y) = ([number(value) for value in point] for point in points)
        except (TypeError, ValueError):
            log.add("label_no_box", where)
            return None
        radius = math.dist((cx, cy), (x, y))
        return outline_from_ellipse((cx, cy, radius, radius), where, log)
    if kind not in ("rectangle", "polygon", "mask"):
        log.add("label_no_box", where, str(kind))
        return None
    if kind == "polygon":
        return outline_from_points(points, where, log)
    if kind == "mask" and shape.get("mask") is not None:
        return _mask(shape, where, max_pixels, log)
    return box_from_points(points, where, log)


def _mask(shape: dict[str, Any], where: str, max_pixels: int, log: DefectLog) -> Shape | None:
    """A mask as a PNG within the corners that are its points; None after counting a fault."""
    corners = box_from_points(shape.get("points"), where, log)
    if corners is None:
        return None
    left, top, right, bottom = corners
    most = min(max_pixels, int((right - left + 2) * (bottom - top + 2)))  # its last row and column are within
    try:
        png = base64.b64decode(text(shape["mask"]), validate=True)
        mask_HW = decode_stencil(png, max_pixels=most)
    except (ValueError, DatasetError) as error:
        log.add("label_no_box", where, f"mask: {error}")
        return None
    return outline_from_mask(mask_HW, left, top, where, log)
