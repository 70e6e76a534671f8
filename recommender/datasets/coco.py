"""COCO instance JSON. Every entry is checked: what is broken is counted and left out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.datasets.coco_boxes import outlines_count, refuse_other_conventions, shape_of
from recommender.datasets.coco_files import CocoFile
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.raw import RawImage, RawSet, Shape
from recommender.datasets.split_names import split_of_image, split_of_path, split_of_title
from recommender.errors import DatasetError, UnsafeInputError
from recommender.text import counted, printable

Identity = int | str
FEW_CROWDS = 2
MAX_CROWDS = 0.1  # of all annotations, where they are crowds indeed


@dataclass(frozen=True, kw_only=True)
class Category:
    """A class of one file. `key` is its name and how many of that name came before."""

    id: Identity
    key: tuple[str, int]
    supercategory: str


def read_coco(files: list[CocoFile], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Turn parsed files into a RawSet. Categories of different files are matched by name."""
    files = sorted(files, key=lambda file: (file.split != "train", file.split or "", file.path))
    index = ImageIndex(root, disk)
    categories = [_categories(file, disk, log) for file in files]
    keys = _class_keys(files, categories, disk, log)
    images: list[RawImage] = []
    num_missing = 0
    listed = [_listed_images(file.images, disk.name(file.path), log) for file in files]
    for file, rows in zip(files, listed, strict=True):
        _refuse_ambiguous(rows, index, disk.name(file.path))
        _refuse_shared_ids(file, rows, index, disk.name(file.path))
    paths = iter(
        index.of_names(
            [
                (str(row["file_name"]), file.path, file.split)
                for file, rows in zip(files, listed, strict=True)
                for row in rows.values()
            ]
        )
    )
    for file, known, rows in zip(files, categories, listed, strict=True):
        classes = {category.id: keys[category.key] for category in known if category.key in keys}
        places = {key: next(paths) for key in rows}
        found, missing = _read_file(file, rows, places, classes, root, disk, log)
        images += found
        num_missing += missing
    index.tell_beside({image.path for image in images}, log)
    _split_by_folders(images, root)
    if num_missing and not images:
        raise DatasetError(
            f"{printable(files[0].path.name)} lists {counted(num_missing, 'image')}, and none is below "
            f"{printable(root.name)}.",
            remedy="Put the images beside the JSON, or give the folder that holds both.",
        )
    return RawSet(
        name=name,
        root=root,
        format="coco",
        class_names=tuple(key[0] for key in keys),
        images=images,
        log=log,
        num_left_out=num_missing,
    )


def _split_by_folders(images: Sequence[RawImage], root: Path) -> None:
    """Take the splits from the folders where no file tells any and each image lies in one."""
    folders = [split_of_path(image.path, root) for image in images]
    if all(image.split is None for image in images) and "train" in folders and None not in folders:
        for image, split in zip(images, folders, strict=True):
            image.split = split


def identity(value: Any) -> Identity | None:
    """An id as a key: whole numbers and texts; `"7"` and 7 are one."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else value or None
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _categories(file: CocoFile, disk: Disk, log: DefectLog) -> list[Category]:
    named = disk.name(file.path)
    known: dict[Identity, dict[str, Any]] = {}
    for row in file.categories:
        key = identity(row.get("id")) if isinstance(row, dict) else None
        if key is None or not isinstance(row.get("name"), str):
            log.add("category_broken", named, str(row)[:80])
        elif known.setdefault(key, row) is not row and known[key]["name"] != row["name"]:
            log.add("category_broken", named, f"id {key} is {known[key]['name']} and {row['name']}")
    if not known:
        used = {identity(row.get("category_id")) for row in file.annotations if isinstance(row, dict)}
        known = {key: {"name": str(key)} for key in used if key is not None}
        if known:
            log.add("names_missing", named)
    if len(known) > disk.limits.num_classes:
        raise UnsafeInputError(
            f"{printable(named)} names {counted(len(known), 'class')}, at most {disk.limits.num_classes}."
        )
    seen: Counter[str] = Counter()
    found = []
    for key in sorted(known, key=lambda key: (isinstance(key, str), key)):
        name = known[key]["name"]
        supercategory = known[key].get("supercategory")
        supercategory = supercategory if isinstance(supercategory, str) else ""
        found.append(Category(id=key, key=(name, seen[name]), supercategory=supercategory))
        seen[name] += 1
    return found


def _class_keys(
    files: list[CocoFile], categories: list[list[Category]], disk: Disk, log: DefectLog
) -> dict[tuple[str, int], int]:
    """Class index of each name, train's order first, less Roboflow's supercategory without boxes."""
    used: set[tuple[str, int]] = set()
    for file, known in zip(files, categories, strict=True):
        key_of = {category.id: category.key for category in known}
        ids = {identity(row.get("category_id")) for row in file.annotations if isinstance(row, dict)}
        used |= {key_of[key] for key in ids if key in key_of}
    keys: dict[tuple[str, int], int] = {}
    for file, known in zip(files, categories, strict=True):
        parents = {category.supercategory for category in known}
        before = len(keys)
        for category in known:
            if (
                category.supercategory in ("none", "")
                and category.key[0] in parents
                and category.key not in used
            ):
                log.add("category_unused", disk.name(file.path), category.key[0])
                continue
            keys.setdefault(category.key, len(keys))
        if before and len(keys) > before:
            log.add(
                "names_differ",
                disk.name(file.path),
                f"{counted(len(keys) - before, 'name')} that train does not have",
            )
    return keys


def _read_file(
    file: CocoFile,
    listed: dict[Identity, dict[str, Any]],
    places: dict[Identity, Path | None],
    classes: dict[Identity, int],
    root: Path,
    disk: Disk,
    log: DefectLog,
) -> tuple[list[RawImage], int]:
    """The images of one file with their boxes, and how many are listed but not there."""
    named = disk.name(file.path)
    sizes = {key: _size(row) for key, row in listed.items()}
    rows = [
        (row, sizes.get(identity(row.get("image_id")) or 0))
        for row in file.annotations
        if isinstance(row, dict)
    ]
    refuse_other_conventions(rows, named)
    trust_outlines = outlines_count([row for row in rows if not _is_crowd(row[0])], named)
    boxes = _boxes_by_image(file.annotations, listed, classes, named, log, trust_outlines=trust_outlines)
    images = []
    num_missing = 0
    by_folder = file.split is not None and split_of_title(file.path) is None
    for key, row in listed.items():
        path = places[key]
        if path is None:
            num_missing += 1
            log.add("image_missing", named, str(row["file_name"]))
            continue
        found = boxes.get(key, [])
        usable = [(kind, shape) for kind, shape in found if shape is not None]
        images.append(
            RawImage.of(
                path,
                disk.name(path),
                split_of_image(path, file.path, root) if by_folder else file.split,
                usable,
                num_rows=len(found),
                units="pixel",
                declared_size=sizes[key],
            )
        )
    return images, num_missing


def _refuse_ambiguous(listed: dict[Identity, dict[str, Any]], index: ImageIndex, named: str) -> None:
    """Two entries of one name, and several images so called: no telling whose boxes are whose."""
    for name, count in Counter(str(row["file_name"]) for row in listed.values()).items():
        if count > 1 and (number := index.count(name)) > 1:
            raise DatasetError(
                f"{printable(named)} lists '{printable(name)}' {count} times, and "
                f"{counted(number, 'image')} are called so.",
                remedy="Write the folder into `file_name`.",
            )


def _refuse_shared_ids(
    file: CocoFile, listed: dict[Identity, dict[str, Any]], index: ImageIndex, named: str
) -> None:
    """Two images of one id, as files joined without new numbers have: no telling whose boxes are whose."""
    for row in file.images:
        key = identity(row.get("id")) if isinstance(row, dict) else None
        first = listed[key]["file_name"] if key in listed else None
        other = row.get("file_name") if first is not None else None
        if (
            isinstance(other, str)
            and other != first
            and all(index.count(_base(str(n))) for n in (first, other))
            and len({index.of_name(str(n), file.path, file.split) for n in (first, other)})
            > 1  # not `./a.png`
        ):
            raise DatasetError(
                f"{printable(named)} gives the id {printable(key)} to '{printable(first)}' and '{printable(other)}': "
                "whose its boxes are cannot be told.",
                remedy="Give each image an id of its own, and its annotations that id.",
            )


def _base(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _listed_images(rows: Iterable[Any], named: str, log: DefectLog) -> dict[Identity, dict[str, Any]]:
    listed: dict[Identity, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        key = identity(row.get("id")) if isinstance(row, dict) else None
        if key is not None and "file_name" not in row:  # LVIS names images by their address alone
            row = {**row, "file_name": row.get("coco_url") or row.get("flickr_url")}
        if key is None:
            log.add("image_missing_id", named, f"image entry {number}")
        elif not isinstance(row.get("file_name"), str):
            log.add("image_without_name", named, f"image entry {number}")
        elif listed.setdefault(key, row) is not row:
            log.add("image_duplicate_id", named, f"id {key}: {row['file_name']}")
    return listed


def _boxes_by_image(
    annotations: list[Any],
    listed: dict[Identity, dict[str, Any]],
    classes: dict[Identity, int],
    named: str,
    log: DefectLog,
    *,
    trust_outlines: bool,
) -> dict[Identity, list[tuple[int, Shape | None]]]:
    """Class and shape of every annotation; None for a broken one, so that its image is no background."""
    boxes: dict[Identity, list[tuple[int, Shape | None]]] = defaultdict(list)
    ids: set[Identity] = set()
    crowds = _crowds_that_are_objects(annotations)
    num_crowds: Counter[str] = Counter()
    for number, row in enumerate(annotations):
        where = f"{named}: annotation {number}"
        if not isinstance(row, dict):
            log.add("label_no_box", where, str(row)[:40])
            continue
        key = identity(row.get("id"))
        if key is None:
            log.add("label_missing_id", where)
        elif key in ids:
            log.add("label_duplicate_id", where, f"id {key}")
        else:
            ids.add(key)
        image = identity(row.get("image_id"))
        if image is None or image not in listed:
            log.add("label_dangling_image", where, f"image {row.get('image_id')}")
            continue
        if row.get("ignore") in (1, True):
            num_crowds["label_crowd"] += 1
            continue
        if _is_crowd(row):
            used = crowds is None or image in crowds
            num_crowds["label_crowd_used" if used else "label_crowd"] += 1
            if not used:
                continue
        category = identity(row.get("category_id"))
        known = classes.get(category) if category is not None else None
        if known is None:
            log.add("label_class_unknown", where, f"category {row.get('category_id')}")
            boxes[image].append((-1, None))
        else:
            boxes[image].append((known, shape_of(row, where, log, trust_outlines=trust_outlines)))
    for kind, count in num_crowds.items():
        log.add(kind, named, f"{count:,} of {len(annotations):,} annotations", count=count)
    return boxes


def _is_crowd(row: dict[str, Any]) -> bool:
    return row.get("iscrowd") in (1, True)


def _crowds_that_are_objects(annotations: list[Any]) -> set[Identity] | None:
    """The images whose crowd regions are single objects; None for all images.

    CVAT and others export what was drawn with the brush as crowd masks, one an object. In COCO itself crowds are
    about one annotation in a hundred, beside ordinary ones.
    """
    rows = [row for row in annotations if isinstance(row, dict)]
    crowds = [row for row in rows if _is_crowd(row)]
    by_tool = any(
        isinstance(row.get("attributes"), dict) and "occluded" in row["attributes"] for row in crowds
    )
    if by_tool or len(crowds) > max(FEW_CROWDS, MAX_CROWDS * len(rows)):
        return None
    ordinary = {identity(row.get("image_id")) for row in rows if not _is_crowd(row)}
    masks = (row for row in crowds if isinstance(row.get("segmentation"), dict))
    images = (identity(row.get("image_id")) for row in masks)
    return {image for image in images if image is not None and image not in ordinary}


def _size(row: dict[str, Any]) -> tuple[float, float] | None:
    width, height = row.get("width"), row.get("height")
    for value in (width, height):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
            return None
    return float(width), float(height)  # type: ignore[arg-type]
