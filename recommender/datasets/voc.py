"""Pascal VOC: one XML an image, splits by ImageSets/Main or by folder.

`bndbox` is read as edges in pixels, without VOC2007's shift by one, as LabelImg, CVAT and Roboflow mean
it. Entities and external references are refused, they are the means of a bomb.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recommender.datasets.claims import Claim, lost_claims
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.matching import same_name
from recommender.datasets.mixed import refuse_second_format
from recommender.datasets.raw import NO_OUTLINE, Corners, RawImage, RawSet, Shape
from recommender.datasets.split_names import split_of_path, tell_split_folders
from recommender.datasets.voc_lists import ImageSets, find_image_sets
from recommender.errors import DatasetError, UnsafeInputError, WrongTaskError
from recommender.records import Split
from recommender.text import printable

MANY_OF_A_NAME = 0.1  # of all files: a `<filename>` that so many share says nothing
CORNER_TAGS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, kw_only=True)
class VocFile:
    """The content of one XML; boxes None are broken."""

    file_name: str
    folders: tuple[str, ...]  # names of the folder the image lay in, the surest first
    size: tuple[float, float] | None
    objects: tuple[tuple[str, Shape | None], ...]


Entry = tuple[Path, Split | None, VocFile | None]  # of an XML, or of the image it means; None is unreadable


def read_voc(paths: Sequence[Path], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read the XML files; classes are sorted by name, since VOC numbers none."""
    index = ImageIndex(root, disk)
    stems = {path.stem for path in (*paths, *index.paths)}
    sets = find_image_sets(root, disk, stems)
    files: list[Entry] = []
    num_missing = 0
    for stem in sets.without(stems):
        num_missing += 1
        log.add("image_missing", "ImageSets", stem)
    parsed = _parsed(paths, root, sets, disk, log)
    counts = Counter(file.file_name for _, _, file in parsed if file)
    repeated = {name for name, count in counts.items() if count > max(2, MANY_OF_A_NAME * len(parsed))}
    doubtful: set[Path] = set()
    all_meant = [_images_meant(path, split, file, index, repeated) for path, split, file in parsed]
    _drop_lost(all_meant, parsed, root, disk)
    _refuse_two_for_one(all_meant, parsed, disk)
    for (path, split, file), meant in zip(parsed, all_meant, strict=True):
        if len(meant) > 1:  # by the XML's own name, and by the name within it
            doubtful.update(meant)
            log.add("image_doubtful", disk.name(path), f"says {file.file_name if file else ''}")
        elif meant:
            files.append((meant[0], split, file))
        else:
            num_missing += 1
            log.add("image_missing", disk.name(path), file.file_name if file else "")
    names = sorted({thing for _, _, file in files if file for thing, _ in file.objects if thing})
    numbers = {thing: number for number, thing in enumerate(names)}
    images = [_raw_image(*entry, numbers, disk) for entry in files]
    images += _background(index, images, doubtful, sets, root, disk)
    return RawSet(
        name=name,
        root=root,
        format="voc",
        class_names=tuple(names),
        images=images,
        log=log,
        num_left_out=num_missing + log.count("image_doubtful"),
    )


def _drop_lost(meant: Sequence[list[Path]], parsed: Sequence[Entry], root: Path, disk: Disk) -> None:
    """Empty the lists of XML files whose own image is missing: another XML fits the one that was found better."""
    sure = [number for number, images in enumerate(meant) if len(images) == 1]
    claims = [
        Claim(path=meant[number][0], reference=path.stem, near=path, split=split)
        for number in sure
        for path, split, _ in [parsed[number]]
    ]
    for position in lost_claims(claims, root, disk):
        meant[sure[position]].clear()


def _refuse_two_for_one(meant: Sequence[list[Path]], parsed: Sequence[Entry], disk: Disk) -> None:
    """Raise DatasetError where two XML files are of one image and say different things."""
    first: dict[Path, Entry] = {}
    for images, entry in zip(meant, parsed, strict=True):
        for image in images if len(images) == 1 else ():
            path, _, file = first.setdefault(image, entry)
            if path != entry[0] and _rows(file) != _rows(entry[2]):
                raise DatasetError(
                    f"{printable(disk.name(path))} and {printable(disk.name(entry[0]))} are both of "
                    f"{printable(disk.name(image))} and differ.",
                    remedy="Move the one that does not hold away from the data set's folder.",
                )


def _rows(file: VocFile | None) -> Counter[tuple[str, Corners | None]]:
    return Counter((name, shape and shape.corners) for name, shape in (file.objects if file else ()))


def _parsed(paths: Sequence[Path], root: Path, sets: ImageSets, disk: Disk, log: DefectLog) -> list[Entry]:
    """The files that the image sets list, or all where there are none."""
    found: list[Entry] = []
    if not sets:
        tell_split_folders(paths, root, log)
    for path in paths:
        split = sets.of(path) if sets else split_of_path(path, root)
        if sets and split is None:
            log.add("image_unlisted", disk.name(path))
            continue
        found.append((path, split, read_voc_file(path, disk, log)))
    return found


def in_utf_8(data: bytes) -> bytes:
    """An XML text in UTF-8, where it declares one of the encodings that the parser does not know: GBK, Shift_JIS."""
    declared = re.match(
        rb"""\s*<\?xml[^>]*?encoding=["']((?i:gb\w*|big5\S*|euc\S*|shift_jis))["'][^>]*\?>""", data
    )
    if declared is None:
        return data
    return data[declared.end() :].decode(declared[1].decode()).encode()


def read_voc_file(path: Path, disk: Disk, log: DefectLog) -> VocFile | None:
    """Parse one XML; None when it is unusable (counted)."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    named = disk.name(path)
    try:
        with disk.open(path) as opened:
            data = opened.read(disk.limits.xml_bytes + 1)
        if len(data) > disk.limits.xml_bytes:
            log.add("label_too_large", named, f"more than {disk.limits.xml_bytes} bytes")
            return None
        root = fromstring(in_utf_8(data))
        for element in root.iter():  # tools of one's own write namespaces
            element.tag = element.tag.rpartition("}")[2]
    except DefusedXmlException as error:
        raise UnsafeInputError(
            f"{printable(named)} defines XML entities.", remedy="Annotations need none; export again."
        ) from error
    except UnsafeInputError:
        raise
    except (ParseError, ValueError, LookupError, DatasetError) as error:
        log.add("label_unreadable", named, str(error))
        return None
    things = list(root.iter("object"))[: disk.limits.label_rows]
    if things and all(thing.find("robndbox") is not None for thing in things):
        raise WrongTaskError(
            f"{printable(named)} holds rotated boxes (robndbox): oriented boxes (OBB), which are not served.",
            remedy="Draw upright boxes (bndbox).",
        )
    file_name = (root.findtext("filename") or "").strip().replace("\\", "/")
    place = (root.findtext("path") or "").strip().replace("\\", "/").rpartition("/")[0]
    folder = (root.findtext("folder") or "").strip().replace("\\", "/")
    folders = (file_name.rpartition("/")[0], place, folder)
    return VocFile(
        file_name=file_name.rpartition("/")[2],
        folders=tuple(name for entry in folders if (name := entry.rpartition("/")[2])),
        size=_size(root),
        objects=tuple(
            _object(thing, f"{named}: object {number}", log) for number, thing in enumerate(things)
        ),
    )


def _images_meant(
    path: Path, split: Split | None, file: VocFile | None, index: ImageIndex, repeated: set[str]
) -> list[Path]:
    """The image an XML is for; two where its own name and the `<filename>` in it are those of different images.

    `<folder>` and `<path>` decide among images of one name. A `<filename>` that many files share says nothing.
    """
    name = file.file_name if file and file.file_name not in repeated else ""
    within = file.folders if file else ()
    named = index.in_folder(within, name) if name else None
    if named is not None and same_name(named.stem, path.stem):
        return [named]
    own = index.in_folder(within, path.stem) or index.of_stem(path.stem, path, split)
    if own is not None and index.is_mask_of(own, name, path):
        own = None
    if named is None and name:
        named = index.of_name(name, path, split)
    if own is not None and named is not None and own != named and not same_name(own.stem, named.stem):
        return [own, named]
    return [image for image in (own or named,) if image is not None]


def _size(root: Any) -> tuple[float, float] | None:
    width, height = (_number(root.findtext(f"size/{tag}")) for tag in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None  # 0 and NaN are unknown


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _object(thing: Any, where: str, log: DefectLog) -> tuple[str, Shape | None]:
    name = (thing.findtext("name") or "").strip()
    if not name:
        log.add("label_class_unknown", where, "no name")
        return "", None
    box = thing.find("bndbox")
    xs, ys = _outline(thing)
    if box is not None:
        x1, y1, x2, y2 = (_number(box.findtext(tag)) for tag in CORNER_TAGS)
    else:
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
    outlined = len(xs) == len(ys) > 2 and all(map(math.isfinite, (*xs, *ys)))
    return name, Shape((x1, y1, x2, y2), (np.stack([xs, ys], axis=1),) if outlined else NO_OUTLINE)


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
    usable = [(numbers[name], shape) for name, shape in (file.objects if file else ()) if shape is not None]
    return RawImage.of(
        path,
        disk.name(path),
        split,
        usable,
        num_rows=len(file.objects) if file else 1,
        units="pixel",
        declared_size=file.size if file else None,
    )


def _background(
    index: ImageIndex, images: list[RawImage], doubtful: set[Path], sets: ImageSets, root: Path, disk: Disk
) -> Iterator[RawImage]:
    """Images without an XML that lie among those with one. Raises DatasetError where they have another label."""
    claimed = {image.path for image in images} | doubtful
    folders = {image.path.parent for image in images}
    beside = [path for path in index.paths if path not in claimed and path.parent in folders]
    splits = {path: sets.of(path) if sets else split_of_path(path, root) for path in beside}
    if sets:
        beside = [path for path in beside if splits[path] is not None]
    refuse_second_format(beside, (".txt", ".json"), "an XML file", root, disk)
    for path in beside:
        yield RawImage.of(path, disk.name(path), splits[path], labelled=False)
