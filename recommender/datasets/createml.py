"""CreateML: a JSON list of images, boxes by their centre in pixels. Roboflow writes one a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.json_text import load_json
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import RawSet
from recommender.datasets.shapes import box_from_centre, text
from recommender.datasets.split_names import split_of_title


def read_createml(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the lists; classes are sorted by name."""
    entries = []
    for path in paths:
        content = load_json(path, disk)
        rows = content if isinstance(content, list) else []
        split = split_of_title(path)
        for row in rows:
            reference = _reference(row)
            if not reference:
                log.add("image_without_name", disk.name(path), str(row)[:60])
                continue
            things = row.get("annotations", row.get("annotation"))
            where = f"{disk.name(path)}: {reference}"
            objects = (
                tuple(_object(thing, where, log) for thing in things) if isinstance(things, list) else ()
            )
            entries.append(NamedImage(reference=reference, near=path, objects=objects, split=split))
    return named_set(entries, format="createml", root=root, disk=disk, log=log, name=name)


def _reference(row: Any) -> str:
    keys = ("image", "imagefilename", "imageFilename")
    return next((text(row[key]) for key in keys if key in row), "") if isinstance(row, dict) else ""


def _object(thing: Any, where: str, log: DefectLog) -> Object:
    label = text(thing.get("label")) if isinstance(thing, dict) else ""
    place = thing.get("coordinates") if isinstance(thing, dict) else None
    if not label:
        log.add("label_class_unknown", where, "no label")
        return "", None
    if not isinstance(place, dict):
        log.add("label_no_box", where, label)
        return label, None
    return label, box_from_centre((place.get(key) for key in ("x", "y", "width", "height")), where, log)
