"""The two forms of image classification in a folder: class folders, or a CSV of file and label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from recommender.datasets.class_folders import ClassTree, find_class_tree, read_class_folders
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.name_tables import name_by_tables
from recommender.datasets.paired_folders import refuse_paired
from recommender.datasets.raw import RawSet
from recommender.datasets.tables.image_tables import ImageTable
from recommender.datasets.tables.labels import find_label_tables, labels_of, read_label_tables
from recommender.datasets.tables.split_lists import take_splits
from recommender.errors import DatasetError, WrongTaskError
from recommender.text import printable


def read_classification(
    root: Path,
    disk: Disk,
    log: DefectLog,
    name: str,
    boxes: Sequence[ImageTable] = (),
    *,
    asked: bool = False,
) -> RawSet | None:
    """The folder as a classification set, numbers named by tables beside them; None where it is none.

    `boxes` are tables of boxes with classes: they count before tables of whole images, folders before them.
    Where classification was `asked` for, those of one box an image give classes.
    Raises WrongTaskError for several classes an image, DatasetError where folders and CSV contradict each other.
    """
    tree = find_class_tree(root, disk)
    if tree is not None and tree.are_pieces and (not asked or find_label_tables(root, disk)):
        tree = None
    if tree is None and boxes:
        return None
    if tree is not None and boxes and _are_others(tree, boxes, disk):
        raise DatasetError(
            f"{printable(root.name)}: the folders name other classes than the boxes in "
            f"{printable(disk.name(boxes[0].path))}.",
            remedy="Read the boxes with --task detect, or the folders with --task classify.",
        )
    try:
        tables = find_label_tables(
            root, disk, beside_folders=tree is not None, of_boxes=asked and tree is None
        )
    except DatasetError:
        if tree is None:
            raise
        tables = []  # what else is known of images whose folders name their class
    if tree is None:
        return _read(tables, root, disk, log, name) if tables else None
    rows = [(row.reference, row.label) for table in tables for row in table.rows]
    if _contradict(tree, rows, disk):
        raise DatasetError(
            f"{printable(root.name)}: the folders name other classes than {printable(disk.name(tables[0].path))}.",
            remedy="Move it away, or if it is right into the folder of the images, and give the file itself.",
        )
    beside = labels_of(tables, tree.unlabelled, root, disk)
    raw = read_class_folders(tree, root, disk, log, name, beside)
    if not asked:
        refuse_paired(tree.side_by_side, name, disk)
    raw.tables = frozenset(table.path for table in tables if beside)
    if all(split is None for split, _, _ in tree.folders):
        take_splits(raw, tables, root, disk)
    name_by_tables(raw, root, disk)
    return raw


def read_csv_file(
    path: Path, root: Path, disk: Disk, log: DefectLog, name: str, *, asked: bool = False
) -> RawSet:
    """Read one CSV of file and label; with a box an image where classification was `asked` for.

    Raises WrongTaskError, DatasetError.
    """
    tables = find_label_tables(root, disk, only=path, of_boxes=asked)
    if not tables:
        raise DatasetError(
            f"{printable(path.name)} is no list of images of this folder with their classes.",
            remedy="It needs a column of image files and a column `label`; for boxes xmin, ymin, xmax, ymax, too.",
        )
    return _read(tables, root, disk, log, name)


def refuse_no_classes(root: Path) -> WrongTaskError:
    """The refusal of a folder that was to be read for classification and holds no classes."""
    return WrongTaskError(
        f"{printable(root.name)} holds no folders of images by class and no CSV of file and label.",
        remedy="Put the images of each class, two at least, in a folder called after it, in train/ and val/ or without "
        "splits.",
    )


def _read(tables: Sequence[ImageTable], root: Path, disk: Disk, log: DefectLog, name: str) -> RawSet:
    raw = read_label_tables(tables, root, disk, log, name)
    raw.tables = frozenset(table.path for table in tables)
    if all(image.split is None for image in raw.images):
        take_splits(raw, (), root, disk)
    name_by_tables(raw, root, disk, raw.tables)
    return raw


def _are_others(tree: ClassTree, boxes: Sequence[ImageTable], disk: Disk) -> bool:
    """True if the classes of boxes are not those of the folders: one that no folder has, or some of several folders."""
    rows = [(row.reference, row.label) for table in boxes for row in table.rows if row.boxes]
    things = {label for _, label in rows}
    one = len(things) == 1 and things.isdisjoint(tree.class_names)
    return one or _contradict(tree, rows, disk)


def _contradict(tree: ClassTree, labelled: Sequence[tuple[str, str]], disk: Disk) -> bool:
    """True if one folder's images have several labels, or one label several folders, in rows of most images."""
    folders_of: dict[str, set[str]] = {}
    paths = [(path, name) for _, name, place in tree.folders for path in disk.images(place)]
    for path, name in paths:
        for key in {path.name, path.stem, f"{path.parent.name}/{path.name}"}:
            folders_of.setdefault(key, set()).add(name)
    rows = [
        (*folders, label)
        for reference, label in labelled
        if len(folders := _folders(reference, folders_of)) == 1
    ]
    pairs = set(rows)
    covered = len(rows) > len(paths) / 2
    return covered and len(pairs) > max(len({a for a, _ in pairs}), len({b for _, b in pairs}))


def _folders(reference: str, folders_of: Mapping[str, set[str]]) -> set[str]:
    """The classes whose folders have the image of that name, with its folder where that is written."""
    parts = reference.replace("\\", "/").split("/")
    return folders_of.get("/".join(parts[-2:])) or folders_of.get(parts[-1], set())
