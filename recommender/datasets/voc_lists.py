"""The splits of a Pascal VOC tree, from `ImageSets/Main/train.txt` or `ImageSets/Segmentation/train.txt`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from recommender.datasets.disk import Disk
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.split_names import (
    ANNOTATION_FOLDERS,
    lists_of_splits,
    split_of_words,
)
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import printable


@dataclass(frozen=True, kw_only=True)
class ImageSets:
    """Stems and their splits, for each folder that holds lists: VOC2007 and VOC2012 lie side by side."""

    stems: dict[Path, dict[str, Split]]
    others: Split | None = None  # of what no list names

    def __bool__(self) -> bool:
        return bool(self.stems)

    def of(self, path: Path) -> Split | None:
        """The split of an XML or an image; `others` when no list names it."""
        bases = [base for base in self.stems if path.is_relative_to(base)]
        if not bases:
            return None
        return self.stems[max(bases, key=lambda base: len(base.parts))].get(path.stem, self.others)

    def without(self, known: Set[str]) -> Iterator[str]:
        """The stems listed that are not `known`."""
        yield from (stem for stems in self.stems.values() for stem in stems if stem not in known)


def find_image_sets(root: Path, disk: Disk, known: Set[str], folders: Sequence[str] = ("main",)) -> ImageSets:
    """The lists below a folder; `known` are the stems there are. train.txt wins over trainval.txt.

    Lists lie in the first of `folders` that has some, ImageSets/Main for boxes, else in ImageSets itself, else beside
    everything, else beside the annotations. Lists of one class (`car_train.txt`) together divide where there are no
    others; DatasetError where one has for train what another has for val. Outside ImageSets a text of which most lines
    name no image is a note; without a list of train what is not listed is train, and beside one list alone, of train,
    that names half of all and more, the rest is val (of trainval: test).
    """
    places: dict[Path, tuple[int, Path]] = {}
    of_classes: dict[Path, list[Path]] = {}
    for path in disk.walk(root):
        place = _place(path, root, folders) if path.suffix.lower() == ".txt" else None
        if place is None or not split_of_words(path.stem):
            continue
        if _is_of_one_class(path, disk):
            of_classes.setdefault(place[1], []).append(path)
        else:
            places[path] = place
    found: dict[int, list[tuple[Path, Path]]] = {}
    for path in lists_of_splits(places):
        rank, base = places[path]
        if rank <= len(folders) or _names_images(path, disk, known):
            found.setdefault(rank, []).append((base, path))
    if not found and of_classes:
        return ImageSets(stems={base: _union(paths, disk, known) for base, paths in of_classes.items()})
    lists = found[min(found)] if found else []
    beside = bool(found) and min(found) > len(folders)
    stems: dict[Path, dict[str, Split]] = {}
    for base, path in sorted(lists, key=lambda entry: (entry[1].stem.lower() == "trainval", entry[1])):
        split = split_of_words(path.stem)
        for line in disk.read_text(path, disk.limits.list_file_bytes).splitlines():
            if split is not None and line.strip():
                stems.setdefault(base, {}).setdefault(_stem(line, known), split)
    listed = {split for each in stems.values() for split in each.values()}
    num_listed = sum(len(each.keys() & known) for each in stems.values())
    others: Split | None = None
    if beside and "train" not in listed:
        others = "train"
    elif beside and listed == {"train"} and 2 * num_listed >= len(known):
        others = "test" if "trainval" in lists[0][1].stem.lower() else "val"
    return ImageSets(stems=stems, others=others)


def _is_of_one_class(path: Path, disk: Disk) -> bool:
    """True for lists such as `car_train.txt`, whose rows are an image and 1, 0 or -1; a class may be called `train`."""
    row = disk.head(path, 4096).decode("utf-8", "replace").strip().partition("\n")[0].split()
    return "_" in path.stem and len(row) == 2 and row[1] in ("1", "0", "-1")


def _union(paths: Sequence[Path], disk: Disk, known: Set[str]) -> dict[str, Split]:
    """The splits of all that lists of one class each name. Raises DatasetError where two contradict each other."""
    found: dict[str, tuple[Split, Path]] = {}
    for path in sorted(paths, key=lambda path: path.stem.lower().endswith("trainval")):
        split = split_of_words(path.stem.rpartition("_")[2])
        for line in disk.read_text(path, disk.limits.list_file_bytes).splitlines():
            if split is None or not line.strip():
                continue
            stem = _stem(line, known)
            other, first = found.setdefault(stem, (split, path))
            if other != split and not path.stem.lower().endswith("trainval"):
                raise DatasetError(
                    f"{printable(disk.name(path))} and {printable(disk.name(first))} both list {printable(stem)}.",
                    remedy="Write train.txt and val.txt beside them, with the images of each split.",
                )
    return {stem: split for stem, (split, _) in found.items()}


def _names_images(path: Path, disk: Disk, known: Set[str]) -> bool:
    lines = disk.read_text(path, disk.limits.list_file_bytes).splitlines()
    stems = [_stem(line, known) for line in lines if line.strip()]
    return 2 * sum(stem in known for stem in stems) > len(stems)


def _place(path: Path, root: Path, folders: Sequence[str]) -> tuple[int, Path] | None:
    """The rank of a list's place, 0 the best, and the folder that its lines refer to."""
    folder, above = path.parent, path.parent.parent
    if folder.name.lower() in folders and folder != root:
        rank = folders.index(folder.name.lower())
        return rank, above.parent if above.name.lower() == "imagesets" and above != root else above
    if folder.name.lower() == "imagesets" and folder != root:
        return len(folders), above
    if folder == root:
        return len(folders) + 1, root
    return (len(folders) + 2, root) if folder.name.lower() in ANNOTATION_FOLDERS else None


def _stem(line: str, known: Set[str]) -> str:
    """A line is a stem or a file name, perhaps with a folder before it and a flag or the mask behind."""
    path = line.strip().replace("\\", "/")
    first, whole = (text.rpartition("/")[2] for text in (path.split()[0], path))
    choices = [_without_suffix(text) for text in (whole, first, whole.split()[0] if whole.split() else whole)]
    return next((choice for choice in choices if choice in known), choices[-1])


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in (*IMAGE_SUFFIXES, ".xml") else name
