"""Image classification by a CSV of file and label: columns by what they are called, else by what they hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recommender.datasets.box_readings import REMEDY as BOX_REMEDY
from recommender.datasets.box_readings import box_columns, has_scores
from recommender.datasets.class_folders import classified
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.lookup import ImageIndex, is_mask
from recommender.datasets.raw import RawSet
from recommender.datasets.split_names import first_fold, of_splits, split_of_image, split_of_title
from recommender.datasets.table_columns import (
    LABEL_WORDS,
    MIN_SHARE,
    class_cells,
    class_columns,
    class_in,
    file_column,
    is_exactly_class,
    known_names,
    references_in,
    refuse_lists,
    which_class,
)
from recommender.datasets.table_files import is_table, read_table
from recommender.datasets.table_rows import Table
from recommender.datasets.table_splits import SPLIT_WORDS, folds_in, is_split_flag, row_splits
from recommender.datasets.table_text import FLAGS, ON
from recommender.errors import DatasetError, WrongTaskError
from recommender.records import Split
from recommender.text import counted, printable

RUN_WORDS = re.compile(r"(?i)encoded_?pixels|(^|[^a-z])rle([^a-z]|$)|run_?lengths?")
SEVERAL = re.compile(r"\s*[|;,]\s*")
TOGETHER = re.compile(r"[\s+&/]+(?:and\s+)?")  # between the parts of one name, too
PLACES = re.compile(r"[\[(][-+\d.e\s\[\]()]*(?:,[-+\d.e\s\[\]()]*){3,}")
BARS = re.compile(r"\s*[|;]\s*")
MANY_CLASSES = 0.5  # of the rows: more classes than that are no classes
FEW_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """One CSV: reference, label and split of each row."""

    path: Path
    split: Split | None  # that the file is called after
    rows: tuple[tuple[str, str, Split | None], ...]
    folds: Sequence[str]  # headings of splits by number, which are not used


def find_label_tables(
    root: Path, disk: Disk, only: Path | None = None, *, beside_folders: bool = False, of_boxes: bool = False
) -> list[LabelTable]:
    """The CSV files below `root` that give images a class; those called after splits alone where train is among them.

    A table of boxes without a heading counts only `beside_folders` of classes: Tiny ImageNet's names the class, too.
    Where no other does and they are asked for, those `of_boxes` count that have one row an image.

    Raises WrongTaskError for several classes an image, DatasetError where no column can be told to be the class.
    """
    known = known_names(root, disk)
    plain: list[tuple[Table, Sequence[int]]] = []
    boxed: list[tuple[Table, Sequence[int]]] = []
    of_runs: list[Path] = []
    for path in [only] if only else filter(is_table, disk.walk(root)):
        table = read_table(path, disk, known)
        if table is None:
            continue
        if RUN_WORDS.search(" ".join(table.header)):
            of_runs.append(path)
            continue
        boxes = box_columns(table)
        columns = range(len(table.header))
        if boxes is None or (beside_folders and not any(table.header)):
            plain.append((table, columns))
        elif of_boxes and boxes.readings and not has_scores(table, boxes):
            boxed.append((table, [c for c in columns if c not in boxes.columns]))

    def read(located: Sequence[tuple[Table, Sequence[int]]]) -> list[LabelTable]:
        found = [_label_table(*each, known, disk, insist=only is not None) for each in located]
        return [table for table in found if table is not None]

    tables = read(plain)
    if boxed and not tables:  # one that tells of a part of the images stands beside other labels
        fewest = MIN_SHARE * sum(1 for _ in disk.images(root))
        tables = [
            found for found in read(boxed) if fewest <= len(found.rows) == len({row[0] for row in found.rows})
        ]
    if of_runs and not tables:
        raise DatasetError(
            f"{printable(disk.name(of_runs[0]))} holds masks as run lengths, which are not read from a CSV.",
            remedy="Export COCO JSON with run lengths, or a mask picture of each object.",
        )
    kept = of_splits([table.path for table in tables], root)
    return [table for table in tables if table.path in kept]


def read_label_tables(
    tables: Sequence[LabelTable], root: Path, disk: Disk, log: DefectLog, name: str
) -> RawSet:
    """The images that the tables name, classes sorted by name.

    Raises WrongTaskError for several classes an image, DatasetError for a single one in all and for tables that differ.
    """
    kept = first_fold({table.path: {row[0] for row in table.rows} for table in tables}, log)
    tables = [table for table in tables if table.path in kept]
    for table in tables:
        for title in table.folds:
            log.add("splits_unused", f"{disk.name(table.path)}: {title}")
    index = ImageIndex(root, disk)
    found, num_missing = _found(tables, index, root, disk, log)
    names = sorted({label for label, _, _ in found.values() if label})
    if len(names) < 2:
        raise DatasetError(
            f"{printable(disk.name(tables[0].path))} gives all images one class: '{printable(''.join(names))}'.",
            remedy="A classifier tells two classes or more apart: add images of another.",
        )
    numbers = {label: number for number, label in enumerate(names)}
    images = [
        classified(path, numbers[label], place, disk) for path, (label, place, _) in found.items() if label
    ]
    unclassified = [path for path, (label, _, _) in found.items() if not label]
    others = [path for path in index.paths if path not in found and not is_mask(path, root)]
    for path in (*unclassified, *others):
        log.add("image_unclassified", disk.name(path))
    if any(image.split for image in images):
        for image in images:
            image.split = image.split or "train"
    return RawSet(
        name=name,
        root=root,
        format="csv",
        class_names=tuple(names),
        images=images,
        log=log,
        num_left_out=num_missing,
        classified=True,
    )


def _found(
    tables: Sequence[LabelTable], index: ImageIndex, root: Path, disk: Disk, log: DefectLog
) -> tuple[dict[Path, tuple[str, Split | None, Path]], int]:
    """Label, split and table of each image, and the number of rows whose image is missing."""
    found: dict[Path, tuple[str, Split | None, Path]] = {}
    num_missing = 0
    rows = [(row[0], row[1], table.path, row[2] or table.split) for table in tables for row in table.rows]
    paths = index.of_names([(reference, near, split) for reference, _, near, split in rows])
    for (reference, label, near, split), path in zip(rows, paths, strict=True):
        if path is None:
            num_missing += 1
            log.add("image_missing", disk.name(near), reference)
            continue
        known, _, where = found.setdefault(path, (label, split or split_of_image(path, near, root), near))
        if known != label and where == near:
            raise _several(printable(disk.name(near)), f"{reference}: {known} and {label}")
        if known != label:
            raise DatasetError(
                f"{printable(disk.name(where))} calls {printable(reference)} '{printable(known)}', and "
                f"{printable(disk.name(near))} '{printable(label)}'.",
                remedy="Keep the tables of one question, and move the others away from the data set's folder.",
            )
    return found, num_missing


def labels_of(
    tables: Sequence[LabelTable], paths: Sequence[Path], root: Path, disk: Disk
) -> dict[Path, tuple[str, Split | None]]:
    """Label and split of those of `paths`, images beside class folders, that tables name; none if ambiguous."""
    if not tables or not paths:
        return {}
    try:
        found, _ = _found(tables, ImageIndex(root, disk), root, disk, DefectLog())
    except DatasetError:  # one name for images in several folders, or tables of several questions
        return {}
    return {path: found[path][:2] for path in paths if path in found}


def _label_table(
    table: Table, columns: Sequence[int], known: set[str], disk: Disk, *, insist: bool
) -> LabelTable | None:
    """The images and classes that the columns tell; None where they do not. `insist` refuses for want of a class."""
    file = file_column(table, columns, known)
    if file is None or len(columns) < 2:
        return None
    divided, splits = row_splits(table, [c for c in columns if c != file])
    free = [c for c in columns if c not in (file, *divided)]
    # The phase of an operation and the set of a toy tell what is seen, where no other column does.
    words = [c for c in table.called(("phase", "set", "dataset"), free) if c not in table.numeric]
    others = [c for c in free if c not in table.called(SPLIT_WORDS)] or words
    others = [c for c in others if not is_split_flag(table.header[c])] or others  # `is_valid` of sound images
    labels = _labels(table, others, insist=insist)
    headed = any(table.header)
    if labels is None and not headed:
        labels = _of_names(table, file, others)
    if labels is None:
        return None
    drawn = next((c for c in others if len(others) > 1 and _holds_places(table.columns[c])), None)
    if drawn is not None:
        raise DatasetError(
            f"{table.named}: the column {printable(table.header[drawn])} holds lists of numbers: where objects lie?",
            remedy=f"{BOX_REMEDY} Delete the column where it is something else.",
        )
    references = references_in(table, file)
    if not headed and len(columns) > 2 and (len(set(references)) < len(references) or len(set(labels)) < 2):
        return None  # a row for each box
    num_rows = len(table.body) + table.num_uneven + headed
    if table.num_uneven > disk.limits.unusable_share * num_rows:
        raise DatasetError(
            f"{table.named}: {table.num_uneven} of {num_rows} rows have not "
            f"{counted(len(table.header), 'cell')} as the first.",
            remedy="Write a row for each image, and cells that hold a separator in quotation marks.",
        )
    return LabelTable(
        path=table.path,
        split=split_of_title(table.path),
        rows=tuple(zip(references, labels, splits, strict=True)),
        folds=folds_in(table, free),
    )


def _labels(table: Table, columns: Sequence[int], *, insist: bool) -> Sequence[str] | None:
    """The class of each row; None where no column gives one."""
    flags = [c for c in columns if {cell.lower() for cell in table.columns[c]} <= FLAGS]
    on = (
        [[table.header[c] for c in flags if row[c].lower() in ON] for row in table.body]
        if len(flags) > 1
        else []
    )
    if len(flags) > 2 and not table.called(LABEL_WORDS, columns) and all(len(each) == 1 for each in on):
        columns = flags  # beside the age of a patient
    if on and len(flags) == len(columns) and any(table.header):
        classes = [c for c in columns if is_exactly_class(table.header[c])]
        # `label,occluded` in zeros and ones, unless one of them is on in each row
        if len(classes) != 1 or all(len(each) == 1 for each in on):
            for each in on:
                if len(each) != 1:
                    shown = f"{': ' if each else ''}{', '.join(each[:3])}"
                    raise _several(table.named, f"a row has {counted(len(each), 'class')}{shown}")
            return [each[0] for each in on]
        columns = classes
    chosen = class_columns(table, columns)
    if len(chosen) != 1:
        if insist or len(chosen) > 1:
            remedy = "Call the column of the class `label`, and keep one."
            raise which_class(table, chosen or columns, remedy)
        return None
    labels = [class_in(cell) for cell in class_cells(table, chosen[0])]
    choices = next((label for label in labels if '"choices"' in label), None)  # of Label Studio
    if choices is not None:
        raise _several(table.named, choices)
    refuse_lists(labels, table.named)
    _refuse_several(table.named, labels)
    _refuse_measures(table.named, labels)
    return labels


def _holds_places(cells: Sequence[str]) -> bool:
    """True of a column most of whose cells are lists of four numbers or more."""
    return 2 * sum(PLACES.fullmatch(cell) is not None for cell in cells) > len(cells)


def _of_names(table: Table, file: int, columns: Sequence[int]) -> list[str] | None:
    """Classes from names such as `beagle_12`, where a column of numbers says the same of every image."""
    names = [re.sub(r"_\d+$", "", Path(cell).stem) for cell in table.columns[file]]
    for column in columns:
        pairs = set(zip(names, table.columns[column], strict=True))
        if 1 < len(pairs) == len(set(names)) == len({number for _, number in pairs}) < len(names):
            return names
    return None


def _refuse_several(named: str, labels: Sequence[str]) -> None:
    known = dict.fromkeys(labels)
    shared = Counter(part for label in known for part in BARS.split(label))
    for label in known:
        parts = [part for part in SEVERAL.split(label) if part]
        words = TOGETHER.split(label)
        apart = len(parts) > 1 and any(part in known or shared[part] > 1 for part in parts)
        if apart or (len(words) > 1 and all(word in known for word in words)):
            raise _several(named, repr(label))


def _refuse_measures(named: str, labels: Sequence[str]) -> None:
    num_classes = len(set(labels))
    if num_classes > max(FEW_ROWS, MANY_CLASSES * len(labels)) or 2 < num_classes == len(labels):
        raise DatasetError(
            f"{named} names {counted(num_classes, 'class')} for {counted(len(labels), 'image')}: no classes to learn.",
            remedy="Name the column of the class `label`; measures are not classes.",
        )


def _several(named: str, example: str) -> WrongTaskError:
    return WrongTaskError(
        f"{named} gives images several classes ({printable(example, limit=100)}): multi-label classification, which "
        "is not served.",
        remedy="Keep one class for each image, or make a data set for each question. Head columns of boxes xmin, ymin, "
        "xmax, ymax.",
    )
