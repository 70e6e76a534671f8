"""Pascal VOC: one XML an image, splits by ImageSets/Main or by folder.

`bndbox` is read as edges in pixels, without VOC2007's shift by one, as LabelImg, CVAT and Roboflow mean
it. Entities and external references are refused, they are the means of a bomb.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.raw import Float64Array, RawImage, RawSet, no_boxes
from recommender.datasets.voc_lists import ImageSets, find_image_sets
from recommender.datasets.words import split_of_path
from recommender.errors import UnsafeInputError, WrongTaskError
from recommender.records import IntArray, Split
from recommender.text import printable

CORNER_TAGS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, kw_only=True)
class VocFile:
    """What one XML says; boxes None are broken."""

    file_name: str
    size: tuple[float, float] | None
    objects: tuple[tuple[str, tuple[float, float, float, float] | None], ...]


def find_voc(root: Path, disk: Disk) -> list[Path]:
    """XML files below a folder, when the first of them is VOC's; else none."""
    paths = [path for path in disk.walk(root) if path.suffix.lower() == ".xml"]
    return paths if any(_is_voc(path) for path in paths[:3]) else []


def read_voc(paths: list[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the XML files; classes are sorted by name, since VOC numbers none."""
    index = ImageIndex(root, disk)
    stems = {path.stem for path in (*paths, *index.paths)}
    sets = find_image_sets(root, disk, stems)
    files: list[tuple[Path, Split | None, VocFile | None]] = []
    num_missing = 0
    for stem in sets.without(stems):
        num_missing += 1
        log.add("image_missing", "ImageSets", stem)
    for path in paths:
        split = sets.of(path) if sets else split_of_path(path, root)
        if sets and split is None:
            log.add("image_unlisted", disk.name(path))
            continue
        file = _read_file(path, disk, log)
        image = index.of_stem(path.stem, path, split)
        if image is None and file is not None and file.file_name:
            image = index.of_name(file.file_name.replace("\\", "/").rpartition("/")[2], path, split)
        if image is None:
            num_missing += 1
            log.add("image_missing", disk.name(path), file.file_name if file else "")
        else:
            files.append((image, split, file))
    names = sorted({thing for _, _, file in files if file for thing, _ in file.objects if thing})
    numbers = {thing: number for number, thing in enumerate(names)}
    images = [_raw_image(*entry, numbers, disk) for entry in files]
    images += _background(index, images, sets, root, disk)
    return RawSet(
        name=name,
        root=root,
        format="voc",
        class_names=tuple(names),
        images=images,
        log=log,
        num_missing_images=num_missing,
    )


def _is_voc(path: Path) -> bool:
    with path.open("rb") as file:
        return b"<annotation" in file.read(4096)


def _read_file(path: Path, disk: Disk, log: DefectLog) -> VocFile | None:
    """Parse one XML; None when it is unusable (counted)."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    named = disk.name(path)
    try:
        if path.stat().st_size > disk.limits.xml_bytes:
            log.add("label_too_large", named, f"{path.stat().st_size} bytes")
            return None
        root = fromstring(path.read_bytes())
    except DefusedXmlException as error:
        raise UnsafeInputError(
            f"{printable(named)} defines XML entities.", remedy="Annotations need none; export again."
        ) from error
    except (ParseError, ValueError, LookupError, OSError) as error:
        log.add("label_unreadable", named, str(error))
        return None
    things = list(root.iter("object"))[: disk.limits.label_rows]
    if things and all(thing.find("robndbox") is not None for thing in things):
        raise WrongTaskError(
            f"{printable(named)} holds rotated boxes (robndbox): oriented boxes (OBB), not detection.",
            remedy="Give a detection data set with bndbox.",
        )
    return VocFile(
        file_name=(root.findtext("filename") or "").strip(),
        size=_size(root),
        objects=tuple(
            _object(thing, f"{named}: object {number}", log) for number, thing in enumerate(things)
        ),
    )


def _size(root: Any) -> tuple[float, float] | None:
    width, height = (_number(root.findtext(f"size/{tag}")) for tag in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None  # 0 and NaN are unknown


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _object(thing: Any, where: str, log: DefectLog) -> tuple[str, tuple[float, float, float, float] | None]:
    name = (thing.findtext("name") or "").strip()
    if not name:
        log.add("label_class_unknown", where, "no name")
        return "", None
    box = thing.find("bndbox")
    if box is not None:
        x1, y1, x2, y2 = (_number(box.findtext(tag)) for tag in CORNER_TAGS)
    else:
        xs, ys = _outline(thing)
        if not xs or not ys:
            log.add("label_no_box", where, name)
            return name, None
        log.add("label_outline", where)
        x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        log.add("label_not_finite", where, f"{name} {x1:g} {y1:g} {x2:g} {y2:g}")
        return name, None
    if x1 > x2 or y1 > y2:
        log.add("label_corners_swapped", where, f"{name} {x1:g} {y1:g} {x2:g} {y2:g}")
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if x1 == x2 or y1 == y2:
        log.add("label_zero_area", where, f"{name} {x1:g} {y1:g} {x2:g} {y2:g}")
        return name, None
    return name, (x1, y1, x2, y2)


def _outline(thing: Any) -> tuple[list[float], list[float]]:
    """Points of a polygon: Roboflow's x1, y1, x2 … or LabelMe's pt/x, pt/y."""
    polygon = thing.find("polygon")
    xs: list[float] = []
    ys: list[float] = []
    for element in polygon.iter() if polygon is not None else ():
        if element.tag.startswith("x") and element.tag[1:].isdigit() | (element.tag == "x"):
            xs.append(_number(element.text))
        elif element.tag.startswith("y") and element.tag[1:].isdigit() | (element.tag == "y"):
            ys.append(_number(element.text))
    return xs, ys


def _raw_image(
    path: Path, split: Split | None, file: VocFile | None, numbers: dict[str, int], disk: Disk
) -> RawImage:
    usable = [(numbers[name], box) for name, box in (file.objects if file else ()) if box is not None]
    classes_M: IntArray
    corners_M4: Float64Array
    classes_M, corners_M4 = no_boxes()
    if usable:
        classes_M = np.array([number for number, _ in usable], np.int64)
        corners_M4 = np.array([box for _, box in usable], np.float64)
    return RawImage(
        path=path,
        name=disk.name(path),
        split=split,
        classes_M=classes_M,
        corners_M4=corners_M4,
        units="pixel",
        declared_size=file.size if file else None,
        num_rows=len(file.objects) if file else 1,
    )


def _background(
    index: ImageIndex, images: list[RawImage], sets: ImageSets, root: Path, disk: Disk
) -> Iterator[RawImage]:
    """Images without an XML that lie among those with one."""
    claimed = {image.path for image in images}
    folders = {image.path.parent for image in images}
    for path in index.paths:
        split = sets.of(path) if sets else split_of_path(path, root)
        if path in claimed or path.parent not in folders or (sets and split is None):
            continue
        classes_M, corners_M4 = no_boxes()
        yield RawImage(
            path=path,
            name=disk.name(path),
            split=split,
            classes_M=classes_M,
            corners_M4=corners_M4,
            labelled=False,
        )
