"""YOLO labels, with a data.yaml or by layout alone."""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from recommender.datasets.defects import DefectLog
from recommender.datasets.description import SPLIT_KEYS, Description, names_alone
from recommender.datasets.disk import Disk
from recommender.datasets.formats import SAMPLED, find_format, unread
from recommender.datasets.image_paths import listed_images
from recommender.datasets.label_files import LabelFiles, holds_label_rows, is_names_file, may_be_names_file
from recommender.datasets.labels import LabelFile, RowShapes, read_labels
from recommender.datasets.lookup import ImageIndex, is_mask, names_masks
from recommender.datasets.mixed import leave_out_doubtful, refuse_second_format
from recommender.datasets.other_tasks import MIN_ROWS, refuse_other_label_tasks
from recommender.datasets.raw import RawImage, RawSet
from recommender.datasets.split_names import (
    lists_of_splits,
    split_of_path,
    tell_split_folders,
    without_split_words,
)
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import counted, printable

FEW_APART = 0.1  # of the images: previews and logos, which are not told
COUNTED = re.compile(r"(\d+) \1(?:\s*[:.,;=)]\s*|\s+)(\S.*)")  # a line's number before the line: `0 0: cat`


def read_described(description: Description, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read what a data.yaml lists."""
    root = description.path.parent
    listed, num_missing = listed_images(description, disk, log)
    as_written = description.portable and not log.count("yaml_path_ignored")
    labels = LabelFiles(disk, root)
    reader = _LabelReader(disk, log, description.class_names)
    images = [reader.read(path, split, labels.of(path)) for path, split in listed]
    reader.refuse_other_meanings(f"{root.name} {description.path.stem}", description.names_from_1)
    _compare_names_files(description, root, disk, log)
    folders = {path.parent for path, _ in listed}
    beside = [path for folder in sorted(folders) for path in disk.images_in(folder)]
    if not description.splits["val"]:
        known = {path for path, _ in listed}
        for path in disk.images(root):
            if path not in known and labels.of(path) is not None:
                log.add("image_unlisted", disk.name(path))
    num_images = len(images)
    images = _less_doubtful(images, labels, beside, root, disk, log)
    return RawSet(
        name=name,
        root=root,
        format="yolo",
        class_names=reader.class_names(),
        images=images,
        log=log,
        config=description.path if as_written and _where_expected(listed, labels) else None,
        num_left_out=num_missing + num_images - len(images),
    )


def _where_expected(listed: Sequence[tuple[Path, Split]], labels: LabelFiles) -> bool:
    """True if ultralytics looks for the label files where we have found them: `labels` in place of `images`."""
    images, texts = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}"
    for path, _ in listed:
        expected = Path(texts.join(str(path).rsplit(images, 1))).with_suffix(".txt")
        if labels.of(path) not in (None, expected):
            return False
    return True


def refuse_other_names(found: RawSet, described: RawSet, disk: Disk) -> None:
    """Raise DatasetError where folders were taken for classes that the data.yaml does not name."""
    names = {name.casefold() for name in described.class_names}
    if any(name.casefold() not in names for name in found.class_names):
        raise unlabelled(described, disk, "folders of other names are no classes of it")


def unlabelled(described: RawSet, disk: Disk, where: str) -> DatasetError:
    """The refusal of a data.yaml whose images have no label files; `where` says which others were found."""
    images, labels = described.images, LabelFiles(disk, described.root)
    place = disk.name(labels.folders_of(images[0].path)[0]) if images else "their folders"
    count = counted(len(images) + described.num_left_out, "image")
    return DatasetError(
        f"The data.yaml of {printable(described.name)} names {count}, and none has a label file in {printable(place)}, "
        f"where they are expected; {where}.",
        remedy="Put the label files there, or correct the paths in the data.yaml to the images that have some.",
    )


def read_layout(root: Path, disk: Disk, log: DefectLog, name: str, described: RawSet | None = None) -> RawSet:
    """Read a folder of images and label files that nothing describes.

    Raises DatasetError where a data.yaml `described` images that have no labels: its names would be lost.
    """
    paths = list(disk.images(root))
    labels = LabelFiles(disk, root)
    if described is not None:
        example = next(path for path in paths if labels.of(path) is not None)
        raise unlabelled(described, disk, f"{printable(disk.name(example))} has one")
    names = _class_names_below(root, disk, log)
    paths = _without_masks(paths, labels, root)
    if names is None:
        log.add("names_missing", name)
    listed = _listed_splits(root, disk)
    splits = listed or {path: split_of_path(path, root) for path in paths}
    if not listed:
        tell_split_folders(paths, root, log)
    reader = _LabelReader(disk, log, names)
    images = []
    apart = []
    for path in paths:
        split, label = splits.get(path), labels.of(path)
        if split is None and listed and label is not None:
            log.add("image_unlisted", disk.name(path))
        if split is None and (listed or (label is None and any(splits.values()))):
            apart += [] if listed else [path]
            continue  # held back, or a preview or a logo beside the splits
        images.append(reader.read(path, split, label))
    for path in apart if len(apart) > FEW_APART * len(images) else ():
        log.add("image_beside", disk.name(path))
    if any(image.split for image in images):
        for image in images:
            image.split = image.split or "train"
    reader.refuse_other_meanings(root.name)
    num_images = len(images)
    images = _less_doubtful(images, labels, paths, root, disk, log)
    return RawSet(
        name=name,
        root=root,
        format="folder",
        class_names=reader.class_names(),
        images=images,
        log=log,
        num_left_out=num_images - len(images),
    )


def _without_masks(paths: list[Path], labels: LabelFiles, root: Path) -> list[Path]:
    """The images less those in folders called as masks, unless label files of their own lie there.

    `images/mask` beside `images/nomask` holds photos of people who wear one: most have labels, and none has that of
    another picture, as a mask of the same name has. All images where none else is.
    """
    pictures = [path for path in paths if not is_mask(path, root)]
    claimed = {labels.of(path) for path in pictures} if len(pictures) < len(paths) else set()
    of_folder: dict[str, list[Path | None]] = defaultdict(list)
    for path in paths:
        if is_mask(path, root):
            of_folder[_mask_folder(path, root)].append(labels.of(path))
    photos = {
        folder
        for folder, own in of_folder.items()
        if len(own) < 2 * sum(label is not None for label in own) and claimed.isdisjoint(filter(None, own))
    }
    kept = [path for path in paths if not is_mask(path, root) or _mask_folder(path, root) in photos]
    return kept if pictures else paths


def _mask_folder(path: Path, root: Path) -> str:
    """The name of the uppermost folder above a mask that is called as those of masks."""
    return next(name for name in path.relative_to(root).parts if names_masks(name)).lower()


def _less_doubtful(
    images: list[RawImage], labels: LabelFiles, beside: list[Path], root: Path, disk: Disk, log: DefectLog
) -> list[RawImage]:
    """The images less those that are rather labelled elsewhere than background."""
    unlabelled = [image.path for image in images if not image.labelled]
    refuse_second_format(unlabelled, (".xml", ".json"), "a YOLO label", root, disk)
    return leave_out_doubtful(images, labels, beside, disk, log)


class _LabelReader:
    """Reads label files and remembers what their rows looked like."""

    def __init__(self, disk: Disk, log: DefectLog, names: tuple[str, ...] | None) -> None:
        self._disk = disk
        self._log = log
        self._names = names
        self._highest = -1
        self._readers: dict[Path, Path] = {}  # the first image of each label file
        self.shapes = RowShapes()

    def read(self, path: Path, split: Split | None, label: Path | None) -> RawImage:
        """One image with the rows of its label file."""
        file = LabelFile(objects=(), num_rows=0)
        if label is not None:
            self._refuse_shared(label, path)
            num_classes = None if self._names is None else len(self._names)
            found = read_labels(label, self._disk, num_classes, self._log, self.shapes)
            file = found or LabelFile(objects=(), num_rows=1)  # unknown, but not none: it is no background
            self._highest = max([self._highest, *(number for number, _ in file.objects)])
        return RawImage.of(
            path,
            self._disk.name(path),
            split,
            file.objects,
            num_rows=file.num_rows,
            labelled=label is not None,
        )

    def _refuse_shared(self, label: Path, path: Path) -> None:
        first = self._readers.setdefault(label, path)
        if first != path and first.parent == path.parent:
            self._log.add("label_shared", self._disk.name(label), f"{first.name} and {path.name}")
        if first.parent != path.parent:
            named = [printable(self._disk.name(each)) for each in (label, first, path)]
            raise DatasetError(
                f"{named[0]} may belong to {named[1]} or to {named[2]}: which of them was labelled?",
                remedy="Give a folder that holds one image for each label file.",
            )

    def refuse_other_meanings(self, hint: str, names_from_1: bool = False) -> None:
        """Raise WrongTaskError for labels of another task, DatasetError for ids or names that count from 1 and for
        boxes that are no centre and size.

        `hint` holds names of the folder and the YAML; `names_from_1` says that the YAML numbers the names so.
        """
        self._refuse_other_texts()
        refuse_other_label_tasks(self.shapes, hint)
        convention = self.shapes.other_convention()
        if convention is not None:
            raise DatasetError(
                f"The boxes in the labels hold {convention}: read as centre and size, many reach beyond the image, and "
                "read so none does.",
                remedy="Write `class x y w h`, x and y of the box's centre.",
            )
        ids, count = self.shapes.class_ids, 0 if self._names is None else len(self._names)
        if count and min(ids, default=0) == 1 and max(ids) == count:
            raise DatasetError(
                f"The class ids in the labels run from 1 to {count} and the names are {count}, counted from 0: "
                "all ids are one too high.",
                remedy="Subtract 1 from every class id, or add a name for id 0.",
            )
        if names_from_1 and count > 2 and min(ids, default=1) == 0 and max(ids) == count - 2:
            raise DatasetError(
                f"`names` counts from 1 to {count - 1}, and the class ids in the labels from 0 to {count - 2}: every "
                "class would have the name of the one before.",
                remedy="Number the names from 0.",
            )

    def _refuse_other_texts(self) -> None:
        """Raise the refusal of a form known by name, where most rows are no numbers and it is theirs."""
        if self.shapes.text_rows <= max(self.shapes.columns.total(), MIN_ROWS - 1):
            return
        root = self._disk.roots[0]
        for name in islice(self.shapes.text_files, SAMPLED):
            found = find_format([root / name], self._disk, among=lambda row: row.read is None)
            if found is not None:
                raise unread(found[0], found[1][0], root, self._disk)

    def class_names(self) -> tuple[str, ...]:
        """The names given, or the ids found in their place."""
        return self._names if self._names is not None else tuple(str(i) for i in range(self._highest + 1))


def _listed_splits(root: Path, disk: Disk) -> dict[Path, Split | None]:
    """Splits from train.txt, val.txt and test.txt beside the images, as darknet has them, or as obj.data names them."""
    found: dict[Path, Split | None] = {}
    darknet = _lists_of_darknet(root, disk)
    lists = lists_of_splits(root / name for name in disk.listing(root).files if name.lower().endswith(".txt"))
    if any(without_split_words(path.stem) for path in lists) and darknet:
        lists = {}
    lists |= darknet
    index = ImageIndex(root, disk) if lists else None
    for place, split in lists.items():
        for line in disk.read_text(place, disk.limits.list_file_bytes).splitlines():
            path = index.of_name(line.strip(), place, None) if index and line.strip() else None
            if path is None and index and line.strip():
                path = index.of_stem(line.strip().replace("\\", "/").rpartition("/")[2], place, None)
            if path is not None:
                found.setdefault(path, split)
    return found


def _lists_of_darknet(root: Path, disk: Disk) -> dict[Path, Split | None]:
    """The lists that `train`, `valid` and `test` in obj.data name, where they are below `root`."""
    found: dict[Path, Split | None] = {}
    texts = {path for path in disk.walk(root) if path.suffix.lower() == ".txt"}
    for path in (path for path in disk.walk(root) if path.suffix.lower() == ".data"):
        rows = (line.partition("=") for line in disk.head(path, 4096).decode("utf-8", "replace").splitlines())
        named = {
            key.strip().lower(): value.strip().replace("\\", "/") for key, equals, value in rows if equals
        }
        for split, keys in SPLIT_KEYS.items():
            value = next((named[key] for key in keys if named.get(key)), "")
            names = (value, value.rpartition("/")[2])
            places = (folder / name for name in names for folder in (root, path.parent))
            place = next((place for place in places if place in texts), None)
            if place is not None:
                found.setdefault(place, split)
    return found


def _class_names_below(root: Path, disk: Disk, log: DefectLog) -> tuple[str, ...] | None:
    """Names from classes.txt and the like, the longest list; without any those of YAMLs beside all, if they agree.

    Raises DatasetError where two disagree.

    LabelImg writes one into each folder and appends to it: a list may be the beginning of another.
    """
    found = _names_files(root, disk)
    if not found:
        return _names_in_yamls(root, disk, log)
    longest, names = max(found, key=lambda entry: len(entry[1]))
    for path, other in found:
        if other != names[: len(other)]:
            shown = [printable(disk.name(each)) for each in (longest, path)]
            raise DatasetError(
                f"{shown[0]} and {shown[1]} number the classes differently: {printable(', '.join(names), limit=80)} "
                f"against {printable(', '.join(other), limit=80)}.",
                remedy="Give each folder on its own, or bring the ids to one numbering and keep one file.",
            )
    return names


def _names_in_yamls(root: Path, disk: Disk, log: DefectLog) -> tuple[str, ...] | None:
    """The names in YAMLs without splits in a folder itself; None where they differ: of models, or other sets."""
    found: set[tuple[str, ...] | None] = set()
    for name in disk.listing(root).files:
        if name.lower().endswith((".yaml", ".yml")):
            with contextlib.suppress(DatasetError):  # some other tool's settings
                found.add(names_alone(root / name, disk, log) or None)
    found.discard(None)
    return found.pop() if len(found) == 1 else None


def _names_files(root: Path, disk: Disk) -> list[tuple[Path, tuple[str, ...]]]:
    """The files of class names below a folder, each with its names; those of other tools where there is no other."""
    paths = list(disk.walk(root))
    return _names_in((path for path in paths if is_names_file(path.name)), disk) or _names_in(
        (path for path in paths if may_be_names_file(path.name)), disk
    )


def _names_in(paths: Iterable[Path], disk: Disk) -> list[tuple[Path, tuple[str, ...]]]:
    found = []
    for path in paths:
        if not holds_label_rows(path, disk):
            names = _listed_names(disk.read_text(path, disk.limits.yaml_bytes).rstrip().splitlines())
            if any(names):
                found.append((path, names))
    return found


def _listed_names(lines: Sequence[str]) -> tuple[str, ...]:
    """The names in the lines of a list, less comments (`# …`) and less numbers where all are counted from 0."""
    names = [line.strip() for line in lines if not line.startswith("# ")]
    counted_from_0 = [COUNTED.fullmatch(f"{number} {name}") for number, name in enumerate(names)]
    return tuple(each[2] for each in counted_from_0 if each) if all(counted_from_0) else tuple(names)


def _compare_names_files(description: Description, root: Path, disk: Disk, log: DefectLog) -> None:
    names = description.class_names or ()
    for path, other in _names_files(root, disk):
        if other != names and sorted(other) == sorted(names):
            log.add("names_contradict", disk.name(path), ", ".join(other))
