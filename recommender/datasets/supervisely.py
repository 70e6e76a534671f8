"""Supervisely: `meta.json`, and for each image of `img/` a JSON in `ann/` called after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.json_text import load_json
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import RawSet
from recommender.datasets.shapes import box_from_points, number, outline_from_points, text
from recommender.errors import DatasetError


def read_supervisely(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the JSON files; rectangles and polygons are objects, bitmaps refuse the set."""
    entries, names = [], list[str]()
    for path in paths:
        content = load_json(path, disk)
        if not isinstance(content, dict):
            continue
        if isinstance(content.get("classes"), list):
            rows = [row for row in content["classes"] if isinstance(row, dict)]
            names += [title for row in rows if (title := text(row.get("title")))]
        elif isinstance(content.get("objects"), list):
            entries.append(_image(content, path, disk, log))
    return named_set(
        entries, format="supervisely", root=root, disk=disk, log=log, name=name, class_names=names
    )


def _image(content: dict[str, Any], path: Path, disk: Disk, log: DefectLog) -> NamedImage:
    size = content.get("size")
    width, height = (number(size.get(key)) if isinstance(size, dict) else 0 for key in ("width", "height"))
    where = disk.name(path)
    things = content["objects"][: disk.limits.label_rows]
    return NamedImage(
        reference=f"../img/{path.stem}",  # a.png.json is about a.png
        near=path,
        objects=tuple(_object(thing, f"{where}: object {n}", log) for n, thing in enumerate(things)),
        size=(width, height) if width > 0 and height > 0 else None,
    )


def _object(thing: Any, where: str, log: DefectLog) -> Object:
    name = text(thing.get("classTitle")) if isinstance(thing, dict) else ""
    if not name:
        log.add("label_class_unknown", where, "no classTitle")
        return "", None
    kind, points = thing.get("geometryType"), thing.get("points")
    if kind == "bitmap":
        raise DatasetError(f"{where} is a bitmap, which is not read.", remedy="Export as COCO.")
    if kind not in ("rectangle", "polygon") or not isinstance(points, dict):
        log.add("label_no_box", where, str(kind))
        return name, None
    if kind == "polygon":
        holes = points.get("interior")
        inner = holes if isinstance(holes, list) else []
        return name, outline_from_points(points.get("exterior"), where, log, inner)
    return name, box_from_points(points.get("exterior"), where, log)
