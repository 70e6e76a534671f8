"""YOLO labels, with a data.yaml or by layout alone."""

from __future__ import annotations

from pathlib import Path

from recommender.datasets.defects import DefectLog
from recommender.datasets.description import Description
from recommender.datasets.disk import Disk
from recommender.datasets.entries import listed_images
from recommender.datasets.label_files import NAME_FILES, LabelFiles
from recommender.datasets.labels import RowShapes, read_labels
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.other_tasks import refuse_other_label_tasks
from recommender.datasets.raw import RawImage, RawSet, no_boxes
from recommender.datasets.words import split_of_path, split_of_words, without_split_words
from recommender.records import Split


def read_described(description: Description, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read what a data.yaml lists."""
    root = description.path.parent
    listed, num_missing = listed_images(description, disk, log)
    labels = LabelFiles(disk, root)
    reader = _LabelReader(disk, log, description.class_names)
    images = [reader.read(path, split, labels.of(path)) for path, split in listed]
    refuse_other_label_tasks(reader.shapes, f"{root.name} {description.path.stem}")
    if not any(
        entry.lower().endswith(".txt") for entries in description.splits.values() for entry in entries
    ):
        _report_orphans(labels, [path for path, _ in listed], disk, log)
    return RawSet(
        name=name,
        root=root,
        format="yolo",
        class_names=reader.class_names(),
        images=images,
        log=log,
        config=description.path,
        num_missing_images=num_missing,
    )


def read_layout(root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    """Read a folder of images and label files that nothing describes."""
    paths = list(disk.images(root))
    labels = LabelFiles(disk, root)
    names = _class_names_below(root, disk)
    if names is None:
        log.add("names_missing", name)
    listed = _listed_splits(root, disk)
    splits = listed or {path: split_of_path(path, root) for path in paths}
    reader = _LabelReader(disk, log, names)
    images = []
    for path in paths:
        split, label = splits.get(path), labels.of(path)
        if split is None and listed and label is not None:
            log.add("image_unlisted", disk.name(path))
        if split is None and (listed or (label is None and any(splits.values()))):
            continue  # held back, or a preview or a logo beside the splits
        images.append(reader.read(path, split, label))
    if any(image.split for image in images):
        for image in images:
            image.split = image.split or "train"
    refuse_other_label_tasks(reader.shapes, root.name)
    _report_orphans(labels, paths, disk, log)
    return RawSet(
        name=name, root=root, format="folder", class_names=reader.class_names(), images=images, log=log
    )


def _report_orphans(labels: LabelFiles, images: list[Path], disk: Disk, log: DefectLog) -> None:
    for path in labels.without_image(images):
        log.add("label_without_image", disk.name(path))


class _LabelReader:
    """Reads label files and remembers what their rows looked like."""

    def __init__(self, disk: Disk, log: DefectLog, names: tuple[str, ...] | None) -> None:
        self._disk = disk
        self._log = log
        self._names = names
        self._highest = -1
        self.shapes = RowShapes()

    def read(self, path: Path, split: Split | None, label: Path | None) -> RawImage:
        """One image with the rows of its label file."""
        classes_M, corners_M4 = no_boxes()
        num_rows = 0
        if label is not None:
            num_classes = None if self._names is None else len(self._names)
            file = read_labels(label, self._disk, num_classes, self._log, self.shapes)
            if file is None:
                num_rows = 1  # unknown, but not none: the image is no background
            else:
                classes_M, corners_M4, num_rows = file.classes_M, file.corners_M4, file.num_rows
                self._highest = max(self._highest, int(classes_M.max(initial=-1)))
        return RawImage(
            path=path,
            name=self._disk.name(path),
            split=split,
            classes_M=classes_M,
            corners_M4=corners_M4,
            num_rows=num_rows,
            labelled=label is not None,
        )

    def class_names(self) -> tuple[str, ...]:
        """The names given, or the ids found in their place."""
        return self._names if self._names is not None else tuple(str(i) for i in range(self._highest + 1))


def _listed_splits(root: Path, disk: Disk) -> dict[Path, Split | None]:
    """Splits from train.txt, val.txt and test.txt beside the images, as darknet has them."""
    found: dict[Path, Split | None] = {}
    lists = [
        name
        for name in disk.listing(root).files
        if name.lower().endswith(".txt") and split_of_words(name[:-4]) and not without_split_words(name[:-4])
    ]
    index = ImageIndex(root, disk) if lists else None
    for name in lists:
        for line in disk.read_text(root / name, disk.limits.list_file_bytes).splitlines():
            path = index.of_name(line.strip(), root / name, None) if index and line.strip() else None
            if path is None and index and line.strip():
                path = index.of_stem(line.strip().replace("\\", "/").rpartition("/")[2], root / name, None)
            if path is not None:
                found.setdefault(path, split_of_words(name))
    return found


def _class_names_below(root: Path, disk: Disk) -> tuple[str, ...] | None:
    """Names from classes.txt and its kin, the one nearest to the top."""
    files = [path for path in disk.walk(root) if path.name.lower() in NAME_FILES]
    for path in sorted(files, key=lambda path: (len(path.parts), NAME_FILES.index(path.name.lower()), path)):
        lines = disk.read_text(path, disk.limits.yaml_bytes).rstrip().splitlines()
        if any(line.strip() for line in lines):
            return tuple(line.strip() for line in lines)
    return None
