"""Label Studio's own JSON and JSON-MIN: regions in percent of the image, brush masks, or one choice an image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.json_text import load_json
from recommender.datasets.limits import LIMITS
from recommender.datasets.named import NamedImage, Object, set_of_kind
from recommender.datasets.outlines import rings_of_mask
from recommender.datasets.raw import Corners, RawSet, Shape
from recommender.datasets.shapes import (
    box_from_size,
    number,
    outline_from_ellipse,
    outline_from_points,
    text,
)
from recommender.datasets.split_names import split_of_title
from recommender.errors import DatasetError, WrongTaskError
from recommender.text import counted, printable

LABELS = ("rectanglelabels", "polygonlabels", "brushlabels", "ellipselabels", "labels")
MAX_BRUSH_BYTES = 4_000_000  # packed; unpacking takes some seconds then
OTHER_REGIONS = ("keypointlabels", "videorectangle", "timeserieslabels", "paragraphlabels")


def read_label_studio(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the exports. Raises WrongTaskError for several choices an image, and for rotated boxes."""
    tagged: list[tuple[NamedImage, list[str]]] = []
    for path in paths:
        content = load_json(path, disk)
        rows = content if isinstance(content, list) else [content]
        split = split_of_title(path)
        for row in (row for row in rows if isinstance(row, dict)):
            reference = _reference(row)
            if not reference:
                log.add("image_without_name", disk.name(path), str(row.get("id"))[:40])
                continue
            where = f"{disk.name(path)}: {reference}"
            sound = _sound(row)
            if sound == []:
                log.add("image_unannotated", where)
                continue
            if sound and len(sound) > 1:
                log.add("annotations_several", where)
            regions = list(_regions(row, sound))
            objects = tuple(o for region in regions if (o := _object(region, where, log)) is not None)
            one = NamedImage(reference=reference, near=path, objects=objects, split=split, units="fraction")
            tagged.append((one, _choices(row, regions)))
    if not tagged and (count := log.count("image_unannotated")):
        raise DatasetError(
            f"{printable(name)} holds {counted(count, 'task')} of Label Studio, and none is annotated.",
            remedy="Annotate them, or accept the predictions, and export again.",
        )
    return set_of_kind(tagged, format="label studio", root=root, disk=disk, log=log, name=name)


def _reference(row: dict[str, Any]) -> str:
    """The image's name: of an address its last part, of local storage what `?d=` says."""
    data = row.get("data")
    values = data if isinstance(data, dict) else row
    texts = [value for key, value in values.items() if isinstance(value, str) and key != "id"]
    usual = [values[key] for key in ("image", "img", "url", "image_url") if isinstance(values.get(key), str)]
    for value in [*usual, *texts]:
        address = urlsplit(value)
        place = next(iter(parse_qs(address.query).get("d", [])), "") or unquote(address.path)
        if Path(place).suffix.lower() in IMAGE_SUFFIXES:
            return place.rstrip("/").rpartition("/")[2]
    return ""


def _sound(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The annotations of an image that were not cancelled; None in JSON-MIN, which has no such list."""
    rows = row.get("annotations", row.get("completions"))
    if not isinstance(rows, list):
        return None
    return [each for each in rows if isinstance(each, dict) and not each.get("was_cancelled")]


def _regions(row: dict[str, Any], sound: list[dict[str, Any]] | None) -> Iterator[dict[str, Any]]:
    """The regions of the first `sound` annotation; of JSON-MIN all lists of regions."""
    if sound is not None:
        yield from (region for region in sound[0].get("result") or () if isinstance(region, dict))
        return
    for value in row.values():
        if isinstance(value, list):
            yield from ({"value": region, **region} for region in value if isinstance(region, dict))


def _object(region: dict[str, Any], where: str, log: DefectLog) -> Object | None:
    """Class and shape of a region; None for what is none."""
    value = region.get("value")
    if not isinstance(value, dict):
        return None
    if any(key in value for key in OTHER_REGIONS):
        log.add("label_no_box", where, "a keypoint or a span")
        return None
    names = next((value[key] for key in LABELS if isinstance(value.get(key), list)), None)
    if names is None:
        return None
    if len(names) != 1 or not text(names[0]):
        log.add("label_class_unknown", where, counted(len(names), "label"))
        return "", None
    return text(names[0]), _shape(value, region, where, log)


def _shape(
    value: dict[str, Any], region: dict[str, Any], where: str, log: DefectLog
) -> Corners | Shape | None:
    if isinstance(value.get("points"), list):
        return outline_from_points([_percent(point) for point in value["points"]], where, log)
    if "rle" in value:
        return _brush(value["rle"], region, where, log)
    if "radiusX" in value:
        keys = ("x", "y", "radiusX", "radiusY")
        return outline_from_ellipse((number(value.get(key)) / 100 for key in keys), where, log)
    if abs(math.remainder(number(value.get("rotation") or 0), 360)) > 1:
        raise WrongTaskError(
            f"{printable(where)} is a rotated box: oriented boxes (OBB), which are not served.",
            remedy="Draw upright boxes, or polygons.",
        )
    return box_from_size((number(value.get(key)) / 100 for key in ("x", "y", "width", "height")), where, log)


def _percent(point: Any) -> list[float]:
    return [number(part) / 100 for part in point[:2]] if isinstance(point, list) else []


def _brush(rle: Any, region: dict[str, Any], where: str, log: DefectLog) -> Shape | None:
    """A brush mask: RGBA pixels packed by Label Studio; the last channel tells what is painted."""
    width, height = number(region.get("original_width")), number(region.get("original_height"))
    sound = (
        isinstance(rle, list)
        and len(rle) <= MAX_BRUSH_BYTES
        and all(type(byte) is int and 0 <= byte < 256 for byte in rle)
    )
    if not sound or not 0 < width * height <= LIMITS.image_pixels:
        log.add("label_no_box", where, "brush mask")
        return None
    pixels = _unpacked(np.array(rle, np.uint8), 4 * int(width) * int(height))
    if pixels is None or not pixels[3::4].any():
        log.add("label_no_box", where, "brush mask")
        return None
    log.add("label_outline", where)
    mask_HW = pixels[3::4].reshape(int(height), int(width)) > 0
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    scale = np.array([width, height])
    corners = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
    return Shape(
        tuple(map(float, corners)),  # type: ignore[arg-type]
        tuple(ring / scale for ring in rings_of_mask(mask_HW)),
    )


def _unpacked(data: NDArray[np.uint8], expected: int) -> NDArray[np.uint8] | None:
    """Label Studio's own run lengths, bit by bit; None where they are damaged or of another size."""
    bits = np.unpackbits(data)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise IndexError
        found = int("".join(map(str, bits[place : place + count].tolist())), 2)
        place += count
        return found

    try:
        if take(32) != expected:
            return None
        word, sizes = take(5) + 1, [take(4) + 1 for _ in range(4)]
        values = np.zeros(expected, np.uint8)
        at = 0
        while at < expected:
            repeated = take(1)
            end = at + 1 + take(sizes[take(2)])
            if repeated:
                values[at:end] = take(word) & 0xFF
            else:
                for index in range(at, min(end, expected)):
                    values[index] = take(word) & 0xFF
            at = end
    except IndexError:
        return None
    return values


def _choices(row: dict[str, Any], regions: Sequence[dict[str, Any]]) -> list[str]:
    """The classes chosen for the whole image."""
    found: list[str] = []
    for region in regions:
        value = region.get("value")
        names = value.get("choices") if isinstance(value, dict) else None
        found += [text(name) for name in names or () if text(name)] if isinstance(names, list) else []
    least = row.get("choice")
    if isinstance(least, dict) and isinstance(least.get("choices"), list):
        found += [text(name) for name in least["choices"]]
    elif isinstance(least, str):
        found.append(least.strip())
    return list(filter(None, found))
