"""CVAT's own XML "for images": one file of all images, shapes as attributes. Read element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.limits import LIMITS
from recommender.datasets.named import NamedImage, Object, set_of_kind
from recommender.datasets.outlines import rings_of_mask
from recommender.datasets.raw import Corners, RawSet, Shape
from recommender.datasets.shapes import (
    box_from_corners,
    box_from_size,
    number,
    outline_from_ellipse,
    outline_from_points,
)
from recommender.datasets.split_names import split_of_words
from recommender.errors import DatasetError, UnsafeInputError, WrongTaskError
from recommender.text import printable

SHAPES = ("box", "polygon", "ellipse", "mask")
OTHER_SHAPES = ("points", "polyline", "cuboid", "skeleton")


def read_cvat(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the files; classes in the order of the task's labels. A tag of an image without shapes is its class.

    Raises DatasetError for CVAT's XML "for video", WrongTaskError for rotated boxes.
    """
    labels: list[str] = []
    tagged: list[tuple[NamedImage, list[str]]] = []
    for path in paths:
        found, names = _read_file(path, disk, log)
        tagged += found
        labels += names
    return set_of_kind(tagged, format="cvat", root=root, disk=disk, log=log, name=name, class_names=labels)


def _read_file(
    path: Path, disk: Disk, log: DefectLog
) -> tuple[list[tuple[NamedImage, list[str]]], list[str]]:
    """Images with their tags, and the labels of the task."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, iterparse

    named = disk.name(path)
    entries: list[tuple[NamedImage, list[str]]] = []
    labels: list[str] = []
    try:
        with disk.open(path, disk.limits.json_bytes) as file:
            for _, element in iterparse(file, events=("end",)):
                if element.tag == "track":
                    raise DatasetError(
                        f"{printable(named)} is CVAT's XML for videos.",
                        remedy='Export "CVAT for images" or COCO.',
                    )
                if element.tag == "label" and element.find("name") is not None:
                    labels.append((element.findtext("name") or "").strip())
                if element.tag == "image":
                    tags = [(tag.get("label") or "").strip() for tag in element.iterfind("tag")]
                    entries.append((_image(element, path, named, disk, log), list(filter(None, tags))))
                    element.clear()
    except DefusedXmlException as error:
        raise UnsafeInputError(
            f"{printable(named)} defines XML entities.", remedy="Annotations need none; export again."
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise DatasetError(
            f"{printable(named)} is not valid XML: {printable(error)}.", remedy="Export it again."
        ) from error
    return entries, labels


def _image(element: Any, path: Path, named: str, disk: Disk, log: DefectLog) -> NamedImage:
    reference = (element.get("name") or "").strip()
    where = f"{named}: {reference}"
    width, height = number(element.get("width")), number(element.get("height"))
    shapes = [child for child in element if child.tag in (*SHAPES, *OTHER_SHAPES)][: disk.limits.label_rows]
    return NamedImage(
        reference=reference,
        near=path,
        objects=tuple(_object(shape, where, named, log) for shape in shapes),
        split=split_of_words(element.get("subset") or ""),
        size=(width, height) if width > 0 and height > 0 else None,
    )


def _object(shape: Any, where: str, named: str, log: DefectLog) -> Object:
    name = (shape.get("label") or "").strip()
    if not name:
        log.add("label_class_unknown", where, "no label")
    if shape.tag in ("box", "ellipse") and abs(math.remainder(number(shape.get("rotation") or 0), 360)) > 1:
        raise WrongTaskError(
            f"{printable(named)} holds rotated boxes: oriented boxes (OBB), which are not served.",
            remedy="Draw upright boxes, or export polygons.",
        )
    return name, _box(shape, where, log)


def _box(shape: Any, where: str, log: DefectLog) -> Corners | Shape | None:
    if shape.tag == "box":
        return box_from_corners((shape.get(key) for key in ("xtl", "ytl", "xbr", "ybr")), where, log)
    if shape.tag == "ellipse":
        return outline_from_ellipse((shape.get(key) for key in ("cx", "cy", "rx", "ry")), where, log)
    if shape.tag == "mask":
        return _mask(shape, where, log)
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
        return outline_from_points(pairs, where, log)
    log.add("label_no_box", where, shape.tag)
    return None


def _mask(shape: Any, where: str, log: DefectLog) -> Corners | Shape | None:
    """A brush mask: run lengths row by row within its box, 0 first; the box alone where they do not fit it."""
    left, top, width, height = (number(shape.get(key)) for key in ("left", "top", "width", "height"))
    corners = box_from_size((left, top, width, height), where, log)
    texts = (shape.get("rle") or "").replace(" ", "").split(",")
    if corners is None or not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
        return corners
    runs = [int(text) for text in texts]
    if sum(runs) != int(width) * int(height) or sum(runs) > LIMITS.image_pixels:
        return corners
    values = np.zeros(len(runs), bool)
    values[1::2] = True
    mask_HW = np.repeat(values, runs).reshape(int(height), int(width))
    log.add("label_outline", where)
    return Shape(corners, rings_of_mask(mask_HW, left, top))
