"""LabelMe: one JSON an image, `shapes` in pixels, `imagePath` beside it."""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.images import decode_stencil
from recommender.datasets.json_text import load_json
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.outlines import rings_of
from recommender.datasets.raw import Corners, RawSet, Shape
from recommender.datasets.shapes import (
    box_from_points,
    number,
    outline_from_ellipse,
    outline_from_mask,
    outline_from_points,
    text,
)
from recommender.errors import DatasetError, WrongTaskError
from recommender.text import printable


def read_labelme(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the JSON files that hold `shapes`; classes are sorted by name.

    Raises WrongTaskError where all shapes of all files are rotated boxes, DatasetError where most pictures lie within
    the files alone.
    """
    entries, upright, rotated, embedded = [], 0, "", ""
    for path in paths:
        try:
            content = load_json(path, disk)
        except DatasetError as error:
            log.add("label_unreadable", disk.name(path), error.message)
            continue
        if isinstance(content, dict) and isinstance(content.get("shapes"), list):
            entries.append(_image(content, path, disk, log))
            embedded = embedded or disk.name(path) * bool(content.get("imageData"))
            num_rotated = sum(map(_is_rotated, content["shapes"]))
            upright += len(content["shapes"]) - num_rotated
            rotated = rotated or disk.name(path) * bool(num_rotated)
    if rotated and not upright:
        raise WrongTaskError(
            f"{printable(rotated)} holds rotated boxes, and nothing else is drawn: oriented boxes (OBB), which are "
            "not served.",
            remedy="Draw upright boxes (rectangle).",
        )
    raw = named_set(entries, format="labelme", root=root, disk=disk, log=log, name=name, others="background")
    if embedded and 2 * raw.num_left_out > len(entries):
        raise DatasetError(
            f"The pictures of {printable(embedded)} and others lie within the files (imageData), which are not read.",
            remedy="Save each beside its file as `imagePath` names it; labelme_export_json writes it as img.png.",
        )
    return raw


def _image(content: dict[str, Any], path: Path, disk: Disk, log: DefectLog) -> NamedImage:
    where = disk.name(path)
    shapes = content["shapes"][: disk.limits.label_rows]
    width, height = number(content.get("imageWidth")), number(content.get("imageHeight"))
    reference = text(content.get("imagePath")) or path.stem
    objects = [
        _object(shape, f"{where}: shape {n}", disk.limits.image_pixels, log) for n, shape in enumerate(shapes)
    ]
    groups = [shape.get("group_id") if isinstance(shape, dict) else None for shape in shapes]
    return NamedImage(
        reference=reference,
        near=path,
        objects=tuple(_joined(objects, groups)),
        size=(width, height) if width > 0 and height > 0 else None,
    )


def _is_rotated(shape: Any) -> bool:
    return isinstance(shape, dict) and shape.get("shape_type") == "rotation"


def _joined(objects: Sequence[Object], groups: Sequence[Any]) -> Iterator[Object]:
    """The objects, those of one class and one `group_id` as one: its parts, as LabelMe's own converters take them."""
    parts: dict[tuple[str, str], list[Shape]] = defaultdict(list)
    for (name, shape), group in zip(objects, groups, strict=True):
        if group is not None and isinstance(shape, Shape):
            parts[name, str(group)].append(shape)
        else:
            yield name, shape
    for (name, _), shapes in parts.items():
        corners = np.array([shape.corners for shape in shapes])
        extent = (*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist())
        yield name, Shape(extent, tuple(ring for shape in shapes for ring in rings_of(shape.outline)))


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
    points = shape.get("points")
    if isinstance(points, list) and points and isinstance(points[-1], list):  # the last pixel is within
        points = [*points, [number(value) + 1 for value in points[-1]]]
    corners = box_from_points(points, where, log)
    if corners is None:
        return None
    left, top, right, bottom = corners
    most = min(max_pixels, int((right - left + 1) * (bottom - top + 1)))
    try:
        png = base64.b64decode(text(shape["mask"]), validate=True)
        mask_HW = decode_stencil(png, max_pixels=most)
    except (ValueError, DatasetError) as error:
        log.add("label_no_box", where, f"mask: {error}")
        return None
    return outline_from_mask(mask_HW, left, top, where, log)
