"""VGG Image Annotator 1 and 2: files with regions in JSON or CSV, as exported or as the project was saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.json_text import load_json, parse_json
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import Corners, RawSet, Shape
from recommender.datasets.shapes import box_from_size, outline_from_ellipse, outline_from_points, text
from recommender.datasets.split_names import split_of_title
from recommender.datasets.tables.files import TABLE_SUFFIXES, read_rows
from recommender.errors import DatasetError
from recommender.text import printable

CLASS_ATTRIBUTES = ("class", "label", "name", "category", "type", "object")
REGION_COLUMNS = (
    ("shape_attributes", "region_shape_attributes"),
    ("region_attributes", "region_attributes"),
)  # in JSON and in CSV
NAMELESS = "object"  # where regions have no attribute at all


def read_via(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the files of regions; the class is the regions' one attribute. Raises DatasetError for several."""
    entries = []
    for path in paths:
        content = _of_csv(path, disk) if path.suffix.lower() in TABLE_SUFFIXES else load_json(path, disk)
        files = content.get("_via_img_metadata", content) if isinstance(content, dict) else {}
        rows = [row for row in files.values() if isinstance(row, dict) and "regions" in row]
        attribute = _class_attribute(rows, disk.name(path))
        if attribute is None:
            log.add("names_missing", disk.name(path))
        split = split_of_title(path)
        for row in rows:
            reference = text(row.get("filename"))
            where = f"{disk.name(path)}: {reference}"
            objects = tuple(_object(region, attribute, where, log) for region in _regions(row))
            entries.append(NamedImage(reference=reference, near=path, objects=objects, split=split))
    return named_set(entries, format="via", root=root, disk=disk, log=log, name=name)


def _of_csv(path: Path, disk: Disk) -> dict[str, Any]:
    """The table in the form of the JSON: a row is a region, or an image without one."""
    rows = read_rows(path, disk, set())
    keys = [key.lstrip("#") for key in rows[0]]
    files: dict[str, Any] = {}
    for row in (dict(zip(keys, cells, strict=False)) for cells in rows[1:]):
        name = row.get("filename", "")
        regions = files.setdefault(name, {"filename": name, "regions": []})["regions"]
        region = {
            kind: parse_json(row.get(column) or "{}", f"{disk.name(path)}: {name}", disk)
            for kind, column in REGION_COLUMNS
        }
        regions += [region] if region["shape_attributes"] else []
    return files


def _regions(row: dict[str, Any]) -> list[Any]:
    regions = row.get("regions")
    found = list(regions.values()) if isinstance(regions, dict) else regions  # VIA 1 numbers them
    return found if isinstance(found, list) else []


def _class_attribute(rows: Sequence[dict[str, Any]], named: str) -> str | None:
    """The attribute that names the class; None where no region has any."""
    used: Counter[str] = Counter()
    for row in rows:
        for region in _regions(row):
            attributes = region.get("region_attributes") if isinstance(region, dict) else None
            if isinstance(attributes, dict):
                used.update(key for key in attributes if key)
    if len(used) <= 1:
        return next(iter(used), None)
    usual = [key for key in used if key.strip().lower() in CLASS_ATTRIBUTES]
    if len(usual) == 1:
        return usual[0]
    raise DatasetError(
        f"{printable(named)}: regions have the attributes {printable(', '.join(sorted(used)))}; which is the class?",
        remedy="Call the attribute of the class `class`, or delete the others.",
    )


def _object(region: Any, attribute: str | None, where: str, log: DefectLog) -> Object:
    if not isinstance(region, dict) or not isinstance(region.get("shape_attributes"), dict):
        log.add("label_no_box", where)
        return "", None
    name = NAMELESS if attribute is None else _value(region.get("region_attributes"), attribute)
    if not name:
        log.add("label_class_unknown", where, f"no {attribute}")
    return name, _box(region["shape_attributes"], where, log)


def _value(attributes: Any, key: str) -> str:
    value = attributes.get(key) if isinstance(attributes, dict) else None
    if isinstance(value, dict):  # check boxes: the one that is ticked
        ticked = [str(name) for name, on in value.items() if on is True or on == "true"]
        return ticked[0].strip() if len(ticked) == 1 else ""
    return text(value)


def _box(shape: dict[str, Any], where: str, log: DefectLog) -> Corners | Shape | None:
    kind = shape.get("name")
    if kind == "rect":
        return box_from_size((shape.get(key) for key in ("x", "y", "width", "height")), where, log)
    if kind == "circle":
        return outline_from_ellipse((shape.get(key) for key in ("cx", "cy", "r", "r")), where, log)
    if kind == "ellipse":
        return outline_from_ellipse((shape.get(key) for key in ("cx", "cy", "rx", "ry")), where, log)
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if kind == "polygon" and isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys):
        return outline_from_points([list(pair) for pair in zip(xs, ys, strict=True)], where, log)
    log.add("label_no_box", where, str(kind))
    return None
