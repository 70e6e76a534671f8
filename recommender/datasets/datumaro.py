"""Datumaro's own JSON: `annotations/SPLIT.json` with `items`, images in `images/SPLIT`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender.datasets.coco_boxes import shape_of
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.json_text import load_json
from recommender.datasets.named import NamedImage, Object, set_of_kind
from recommender.datasets.raw import Corners, RawSet, Shape
from recommender.datasets.shapes import box_from_size, number, outline_from_points, text
from recommender.datasets.split_names import split_of_words

KINDS_WITHOUT_BOX = ("label", "caption", "points", "polyline")


def read_datumaro(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read one file a split; classes in the order of the categories. An image's own label is its class."""
    tagged: list[tuple[NamedImage, list[str]]] = []
    names: list[str] = []
    for path in paths:
        content = load_json(path, disk)
        if not isinstance(content, dict) or not isinstance(content.get("items"), list):
            continue
        own = _names(content)
        names += own
        for item in content["items"]:
            if isinstance(item, dict):
                tagged.append((_image(item, path, own, disk, log), _labels(item, own)))
    return set_of_kind(tagged, format="datumaro", root=root, disk=disk, log=log, name=name, class_names=names)


def _labels(item: dict[str, Any], names: list[str]) -> list[str]:
    """The classes of the whole image."""
    rows = item.get("annotations")
    of_image = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    found = (_name(row, names) for row in of_image if row.get("type") == "label")
    return list(filter(None, found))


def _name(row: dict[str, Any], names: list[str]) -> str:
    index = number(row.get("label_id"))
    return names[int(index)] if index >= 0 and index.is_integer() and index < len(names) else ""


def _names(content: dict[str, Any]) -> list[str]:
    categories = content.get("categories")
    label = categories.get("label") if isinstance(categories, dict) else None
    rows = label.get("labels") if isinstance(label, dict) else None
    return [text(row.get("name")) for row in rows or () if isinstance(row, dict)]


def _image(item: dict[str, Any], path: Path, names: list[str], disk: Disk, log: DefectLog) -> NamedImage:
    media = item.get("image") if isinstance(item.get("image"), dict) else {}
    size = media.get("size") if isinstance(media, dict) else None
    reference = text(media.get("path") if isinstance(media, dict) else "") or text(item.get("id"))
    where = f"{disk.name(path)}: {reference}"
    things = item.get("annotations")
    rows = things[: disk.limits.label_rows] if isinstance(things, list) else []
    height, width = map(number, size) if isinstance(size, list) and len(size) == 2 else (0.0, 0.0)
    return NamedImage(
        reference=f"{path.stem}/{reference}",
        near=path,
        objects=tuple(found for row in rows if (found := _object(row, names, where, log)) is not None),
        split=split_of_words(path.stem),
        size=(width, height) if width > 0 and height > 0 else None,
    )


def _object(row: Any, names: list[str], where: str, log: DefectLog) -> Object | None:
    kind = row.get("type") if isinstance(row, dict) else None
    if kind in KINDS_WITHOUT_BOX:
        return None
    name = _name(row, names) if isinstance(row, dict) else ""
    if not name:
        log.add("label_class_unknown", where, "label_id")
        return "", None
    return name, _box(row, where, log)


def _box(row: dict[str, Any], where: str, log: DefectLog) -> Corners | Shape | None:
    box, points = row.get("bbox"), row.get("points")
    if row.get("type") == "bbox" and isinstance(box, list) and len(box) == 4:
        return box_from_size(box, where, log)
    if row.get("type") == "polygon" and isinstance(points, list) and len(points) % 2 == 0:
        return outline_from_points([points[i : i + 2] for i in range(0, len(points), 2)], where, log)
    if row.get("type") == "mask" and isinstance(row.get("rle"), dict):  # run lengths as in COCO
        log.add("label_outline", where)
        return shape_of({"segmentation": row["rle"]}, where, log)
    log.add("label_no_box", where, str(row.get("type")))
    return None
