"""The paths in a data.yaml. Every path is checked against the roots before it is looked at."""

from __future__ import annotations

import os
import re
from pathlib import Path

from recommender.datasets.defects import DefectLog
from recommender.datasets.description import Description
from recommender.datasets.disk import OUTSIDE_REMEDY, Disk
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.lookup import ImageIndex
from recommender.errors import DatasetError, UnsafeInputError
from recommender.records import SPLITS, Split
from recommender.text import printable

WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\\\/]")
ROBOFLOW_ENTRY = re.compile(r"\.\./(train|valid|test)/images/?$")


def listed_images(
    description: Description, disk: Disk, log: DefectLog
) -> tuple[list[tuple[Path, Split]], int]:
    """Images of all splits a data.yaml names, and how many its list files name that are not there."""
    named = disk.name(description.path)
    bases = _bases(description, disk, log)
    listed: list[tuple[Path, Split]] = []
    num_missing = 0
    lists = _ListFiles(description.path.parent, bases, disk, log)
    for split in SPLITS:
        before = len(listed)
        for entry in description.splits[split]:
            place = _place_of(entry, bases, disk, f"`{split}` in {named}", log)
            if place is None and split == "test":
                log.add("split_missing", named, f"test: {entry}")  # nobody needs it here
            elif place is None:
                raise _not_there(
                    f"`{split}` in {printable(named)} is '{printable(entry)}'", split, description.download
                )
            else:
                paths, missing = _images_at(place, split, lists, disk)
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


def _place_of(entry: str, bases: tuple[Path, ...], disk: Disk, named: str, log: DefectLog) -> Path | None:
    """The path that an entry means: as written, else where it lay on another machine, which is told.

    Of a `D:\\…` path that is the longest ending that is there. Of another it is what lies below a folder called as the
    YAML's: Roboflow's package writes `Pets-1/train/images` and `/content/Pets-1/train/images` into Pets-1/data.yaml.
    """
    place, refusal = None, None
    try:
        place = find_entry(entry, bases, disk, named)
    except UnsafeInputError as error:
        refusal = error
    parts = [part for part in re.sub(r"^[A-Za-z]:", "", entry).replace("\\", "/").split("/") if part]
    endings = (
        parts[start:]
        for start in range(len(parts))
        if WINDOWS_PATH.match(entry) or (start and parts[start - 1] == bases[-1].name)
    )
    for ending in endings if place is None and "\0" not in entry else ():
        for here in (base.joinpath(*ending) for base in bases if ".." not in ending):
            if disk.contains(here) and here.exists():
                log.add("yaml_path_ignored", named, entry)
                return here
    if refusal is not None:
        raise refusal
    return place


def find_entry(entry: str, bases: tuple[Path, ...], disk: Disk, named: str) -> Path | None:
    """The path that an entry of a data.yaml or a list means; None when nothing is there.

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
            f"{printable(named)} is '{printable(entry)}', which leads out of the data set's folder.",
            remedy=OUTSIDE_REMEDY,
        )
    return None


def _without_dots(path: Path) -> Path:
    """The path less its `..`, links kept: labels are looked up beside the path people wrote."""
    plain = os.path.normpath(path)
    real = os.path.realpath(path)
    return Path(plain if os.path.realpath(plain) == real else real)


def _images_at(place: Path, split: Split, lists: _ListFiles, disk: Disk) -> tuple[list[Path], int]:
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
    return lists.read(place, split)


class _ListFiles:
    """Reads lists of images, one a line, with paths of this or of another machine."""

    def __init__(self, root: Path, bases: tuple[Path, ...], disk: Disk, log: DefectLog) -> None:
        self._root = root
        self._bases = bases
        self._disk = disk
        self._log = log
        self._index: ImageIndex | None = None

    def read(self, place: Path, split: Split) -> tuple[list[Path], int]:
        """The images of one list, and how many of its lines name none.

        Raises UnsafeInputError for a line that leads out; where no line at all fits this machine, the list was
        written elsewhere, and the images whose paths end alike are taken.
        """
        lines = self._disk.read_text(place, self._disk.limits.list_file_bytes).splitlines()
        entries = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
        found: list[Path] = []
        strays: list[tuple[str, str, UnsafeInputError | None]] = []
        for number, entry in entries:
            where = f"{self._disk.name(place)}:{number}"
            path, refusal = self._as_written(entry, place, where)
            if path is None:
                strays.append((where, entry, refusal))
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                found.append(path)
            else:
                strays.append((where, "", None))
        refused = next((refusal for _, _, refusal in strays if refusal is not None), None)
        if found and refused is not None:
            raise refused
        moved = [self._moved(*stray, split) for stray in strays]
        return found + [path for path in moved if path is not None], moved.count(None)

    def _as_written(self, entry: str, place: Path, where: str) -> tuple[Path | None, UnsafeInputError | None]:
        try:
            return find_entry(entry, (place.parent, *self._bases), self._disk, where), None
        except UnsafeInputError as error:
            return None, error

    def _moved(self, where: str, entry: str, refusal: UnsafeInputError | None, split: Split) -> Path | None:
        if self._index is None:
            self._index = ImageIndex(self._root, self._disk)
        path = self._index.of_ending(entry, split)
        if path is None and refusal is not None:
            raise refusal
        self._log.add("image_missing" if path is None else "image_found_elsewhere", where, entry)
        return path
