"""Ultralytics' NDJSON: a line for the data set, then a line an image, boxes as fractions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.json_text import parse_json
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import Corners, RawSet, Shape
from recommender.datasets.shapes import box_from_centre, number, outline_from_points, text
from recommender.datasets.split_names import split_of_words
from recommender.errors import DatasetError, WrongTaskError
from recommender.text import printable

TASKS = ("detect", "segment")


def read_ndjson(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read one file. Raises WrongTaskError for pose, OBB and classification, DatasetError for several files."""
    if len(paths) > 1:
        shown = ", ".join(printable(disk.name(path)) for path in paths[:3])
        raise DatasetError(f"{len(paths)} NDJSON files: {shown}.", remedy="Give one of them.")
    (path,) = paths
    named = printable(disk.name(path))
    names: dict[int, str] = {}
    entries = []
    for number_, line in enumerate(disk.read_text(path, disk.limits.json_bytes).splitlines(), 1):
        row = parse_json(line, f"{named}:{number_}", disk) if line.strip() else None
        if isinstance(row, dict) and row.get("type") == "dataset":
            names = _names(row, named)
        elif isinstance(row, dict) and text(row.get("file")):
            entries.append(_image(row, path, names, f"{disk.name(path)}:{number_}", log))
    ordered = [names.get(index, str(index)) for index in range(max(names, default=-1) + 1)]
    return named_set(entries, format="ndjson", root=root, disk=disk, log=log, name=name, class_names=ordered)


def _names(row: dict[str, Any], named: str) -> dict[int, str]:
    task = text(row.get("task")) or "detect"
    if task not in TASKS:
        raise WrongTaskError(
            f"{named} is a data set for {printable(task)}, which is not read from NDJSON.",
            remedy="Give boxes or polygons; of classified images, sort them into folders by class.",
        )
    given = row.get("class_names", row.get("names"))
    pairs = given.items() if isinstance(given, dict) else enumerate(given if isinstance(given, list) else ())
    return {
        int(key): text(name) for key, name in pairs if str(key).isdigit() and len(str(key)) < 6 and text(name)
    }


def _image(row: dict[str, Any], path: Path, names: dict[int, str], where: str, log: DefectLog) -> NamedImage:
    things = row.get("annotations")
    boxes = things.get("boxes") if isinstance(things, dict) else None
    outlines = things.get("segments") if isinstance(things, dict) else None
    objects = [_object(one, names, where, log) for one in boxes or () if isinstance(boxes, list)]
    if not objects:
        objects = [_object(one, names, where, log) for one in outlines or () if isinstance(outlines, list)]
    return NamedImage(
        reference=text(row["file"]),
        near=path,
        objects=tuple(objects),
        split=split_of_words(text(row.get("split"))),
        units="fraction",
    )


def _object(values: Any, names: dict[int, str], where: str, log: DefectLog) -> Object:
    if not isinstance(values, list) or len(values) < 5:
        log.add("label_columns", where, str(values)[:40])
        return "", None
    index = number(values[0])
    name = names.get(int(index), "") if index == index and index.is_integer() else ""
    if not name:
        log.add("label_class_unknown", where, f"class {values[0]}")
        return "", None
    return name, _box(values[1:], where, log)


def _box(values: list[Any], where: str, log: DefectLog) -> Corners | Shape | None:
    if len(values) == 4:
        return box_from_centre(values, where, log)
    if len(values) % 2:
        log.add("label_columns", where, f"{len(values)} coordinates")
        return None
    return outline_from_points([values[i : i + 2] for i in range(0, len(values), 2)], where, log)
