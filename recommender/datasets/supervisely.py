"""Supervisely: `meta.json`, and for each image of `img/` a JSON in `ann/` called after it."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.images import decode_stencil
from recommender.datasets.json_text import load_json
from recommender.datasets.named import NamedImage, Object, named_set
from recommender.datasets.raw import RawSet, Shape
from recommender.datasets.shapes import box_from_points, number, outline_from_mask, outline_from_points, text
from recommender.datasets.split_names import SPLIT_WORDS
from recommender.errors import DatasetError
from recommender.records import Split

MAX_PNG_BYTES = 64 * 2**20  # of one bitmap once unpacked
MAX_UNSIZED = 4 * 2**20  # pixels of a bitmap in a file that does not tell the size of its picture


def read_supervisely(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the JSON files; rectangles, polygons and bitmaps are objects."""
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
    splits = {entry.split for entry in entries}
    if None in splits or "train" not in splits:  # a tag `test` may mean anything else
        entries = [replace(entry, split=None) for entry in entries]
    return named_set(
        entries, format="supervisely", root=root, disk=disk, log=log, name=name, class_names=names
    )


def _image(content: dict[str, Any], path: Path, disk: Disk, log: DefectLog) -> NamedImage:
    size = content.get("size")
    width, height = (number(size.get(key)) if isinstance(size, dict) else 0 for key in ("width", "height"))
    where = disk.name(path)
    things = content["objects"][: disk.limits.label_rows]
    # No bitmap is larger than its picture: else small files could order a decoding without end.
    most = min(disk.limits.image_pixels, int(width * height) if width > 0 and height > 0 else MAX_UNSIZED)
    return NamedImage(
        reference=f"../img/{path.stem}",  # a.png.json is about a.png
        near=path,
        objects=tuple(_object(thing, f"{where}: object {n}", most, log) for n, thing in enumerate(things)),
        split=_split_in(content.get("tags")),
        size=(width, height) if width > 0 and height > 0 else None,
    )


def _split_in(tags: Any) -> Split | None:
    """The split that an image's tags name; None without one tag called as a split."""
    rows = [tag for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    found = {SPLIT_WORDS[word] for tag in rows if (word := text(tag.get("name")).lower()) in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def _object(thing: Any, where: str, max_pixels: int, log: DefectLog) -> Object:
    name = text(thing.get("classTitle")) if isinstance(thing, dict) else ""
    if not name:
        log.add("label_class_unknown", where, "no classTitle")
        return "", None
    kind, points = thing.get("geometryType"), thing.get("points")
    if kind == "bitmap":
        return name, _stencil(thing.get("bitmap"), where, max_pixels, log)
    if kind not in ("rectangle", "polygon") or not isinstance(points, dict):
        log.add("label_no_box", where, str(kind))
        return name, None
    if kind == "polygon":
        holes = points.get("interior")
        inner = holes if isinstance(holes, list) else []
        return name, outline_from_points(points.get("exterior"), where, log, inner)
    return name, box_from_points(points.get("exterior"), where, log)


def _stencil(bitmap: Any, where: str, max_pixels: int, log: DefectLog) -> Shape | None:
    """A mask as a packed PNG, placed by its upper left corner; None after counting a fault."""
    try:
        packed = base64.b64decode(text(bitmap["data"]), validate=True)
        left, top = map(number, bitmap["origin"])
        png = zlib.decompressobj().decompress(packed, MAX_PNG_BYTES)
        mask_HW = decode_stencil(png, max_pixels=max_pixels)
    except (TypeError, KeyError, ValueError, zlib.error, DatasetError) as error:
        log.add("label_no_box", where, f"bitmap: {error}")
        return None
    return outline_from_mask(mask_HW, left, top, where, log)
