"""Where the entries of a data.yaml point. Every path is checked against the roots before it is looked at."""

from __future__ import annotations

import os
import re
from pathlib import Path

from recommender.datasets.defects import DefectLog
from recommender.datasets.description import Description
from recommender.datasets.disk import OUTSIDE_REMEDY, Disk
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.errors import DatasetError, UnsafeInputError
from recommender.records import SPLITS, Split
from recommender.text import printable

ROBOFLOW_ENTRY = re.compile(r"\.\./(train|valid|test)/images/?$")


def listed_images(
    description: Description, disk: Disk, log: DefectLog
) -> tuple[list[tuple[Path, Split]], int]:
    """Images of all splits a data.yaml names, and how many its list files name that are not there."""
    named = disk.name(description.path)
    bases = _bases(description, disk, log)
    listed: list[tuple[Path, Split]] = []
    num_missing = 0
    for split in SPLITS:
        before = len(listed)
        for entry in description.splits[split]:
            place = find_entry(entry, bases, disk, f"`{split}` in {named}")
            if place is None and split == "test":
                log.add("split_missing", named, f"test: {entry}")  # nobody needs it here
            elif place is None:
                raise _not_there(
                    f"`{split}` in {printable(named)} is {printable(entry)!r}", split, description.download
                )
            else:
                paths, missing = _images_at(place, bases, disk, log)
                listed += [(path, split) for path in paths]
                num_missing += missing
        if description.splits[split] and len(listed) == before and split != "test" and not num_missing:
            raise _not_there(f"`{split}` in {printable(named)} holds no image", split, description.download)
    if description.download:
        log.add("download_ignored", named)
    return listed, num_missing


def _not_there(what: str, split: Split, download: bool) -> DatasetError:
    if download:
        remedy = "`download:` is never run here: download the images yourself, then ask again."
    elif split == "val":
        remedy = "Correct the path, or delete the line: val is then divided from train."
    else:
        remedy = "Correct the path."
    return DatasetError(f"{what}, and nothing to read is there.", remedy=remedy)


def _bases(description: Description, disk: Disk, log: DefectLog) -> tuple[Path, ...]:
    """Folders that relative entries may start from."""
    folder = description.path.parent
    if description.base in ("", "."):
        return (folder,)
    base = folder / description.base
    if "\0" not in description.base and disk.contains(base):
        return tuple(dict.fromkeys((Path(os.path.realpath(base)), folder)))
    last = description.base.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if last not in ("", ".", "..") and last == folder.name:
        # Written where the data set used to live; ultralytics wants it so. The folder has moved here.
        log.add("yaml_path_ignored", disk.name(description.path), description.base)
        return (folder,)
    raise UnsafeInputError(
        f"`path: {printable(description.base)}` in {printable(disk.name(description.path))} leads out of "
        "the data set's folder.",
        remedy=f"Delete the line `path:` if the images lie beside it. {OUTSIDE_REMEDY}",
    )


def find_entry(entry: str, bases: tuple[Path, ...], disk: Disk, named: str) -> Path | None:
    """Where an entry of a data.yaml or a list points; None when nothing is there.

    Raises UnsafeInputError when it leads out of the roots, whether or not anything is there.
    """
    plain = entry.replace("\\", "/")
    # Roboflow writes ../train/images and means the folder beside the yaml, existing or not.
    inner = re.sub(r"^(\.\./)+", "", plain)
    outside = "\0" in entry
    for base in bases if not outside else ():
        for form in dict.fromkeys((plain, inner)):
            candidate = base / (form or plain)
            if not disk.contains(candidate):
                outside = True
            elif os.path.exists(candidate):  # noqa: PTH110 - Path.exists raises for names that are too long
                return _without_dots(candidate)
    if outside and not (ROBOFLOW_ENTRY.match(plain) and len(bases) == 1):
        raise UnsafeInputError(
            f"{printable(named)} is {printable(entry)!r}, which leads out of the data set's folder.",
            remedy=OUTSIDE_REMEDY,
        )
    return None


def _without_dots(path: Path) -> Path:
    """The path less its `..`, links kept: labels are looked up beside the path people wrote."""
    plain = os.path.normpath(path)
    real = os.path.realpath(path)
    return Path(plain if os.path.realpath(plain) == real else real)


def _images_at(place: Path, bases: tuple[Path, ...], disk: Disk, log: DefectLog) -> tuple[list[Path], int]:
    """Images of a folder, of a list file, or the one image named; and how many are missing."""
    if place.is_dir():
        return list(disk.images(place)), 0
    if place.suffix.lower() in IMAGE_SUFFIXES:
        return [place], 0
    if place.suffix.lower() != ".txt":
        raise DatasetError(
            f"{printable(disk.name(place))} is neither a folder, an image nor a list of images.",
            remedy="Name a folder of images or a .txt file with one image a line.",
        )
    found, num_missing = [], 0
    for number, line in enumerate(disk.read_text(place, disk.limits.list_file_bytes).splitlines(), 1):
        entry = line.strip()
        if not entry:
            continue
        where = f"{disk.name(place)}:{number}"
        path = find_entry(entry, (place.parent, *bases), disk, where)
        if path is None or path.suffix.lower() not in IMAGE_SUFFIXES:
            num_missing += 1
            log.add("image_missing", where, entry)
        else:
            found.append(path)
    return found, num_missing
