"""Image classification by a CSV of file and label: columns by what they are called, else by what they hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recommender.datasets.class_folders import classified
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.label_rows import is_table, read_rows
from recommender.datasets.lookup import ImageIndex, is_mask
from recommender.datasets.raw import RawSet
from recommender.datasets.split_names import first_fold, of_splits, split_of_image, split_of_title
from recommender.datasets.table_columns import (
    FLAGS,
    LABEL_WORDS,
    MIN_SHARE,
    ON,
    SPLIT_WORDS,
    box_columns,
    class_columns,
    class_in,
    file_column,
    has_scores,
    is_called,
    is_exactly,
    is_number,
    known_names,
    names_image,
    refuse_lists,
    row_splits,
    which_class,
)
from recommender.errors import DatasetError, WrongTaskError
from recommender.records import Split
from recommender.text import counted, printable

RUN_WORDS = re.compile(r"(?i)encoded_?pixels|(^|[^a-z])rle([^a-z]|$)|run_?lengths?")
SEVERAL = re.compile(r"\s*[|;,]\s*")
BARS = re.compile(r"\s*[|;]\s*")
MANY_CLASSES = 0.5  # of the rows: more classes than that are no classes
FEW_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """One CSV: reference, label and split of each row."""

    path: Path
    split: Split | None  # that the file is called after
    rows: tuple[tuple[str, str, Split | None], ...]


def find_label_tables(
    root: Path, disk: Disk, only: Path | None = None, *, beside_folders: bool = False, of_boxes: bool = False
) -> list[LabelTable]:
    """The CSV files below `root` that give images a class; those called after splits alone where train is among them.

    A table of boxes without a heading counts only `beside_folders` of classes: Tiny ImageNet's names the class, too.
    Where no other does and they are asked for, those `of_boxes` count that have one row an image.

    Raises WrongTaskError for several classes an image, DatasetError where no column can be told to be the class.
    """
    known = known_names(root, disk)
    paths = [only] if only else [path for path in disk.walk(root) if is_table(path)]
    tables = []
    located = []
    of_runs: list[Path] = []
    for path in paths:
        rows = read_rows(path, disk, lambda text: names_image(text, known))
        if rows and RUN_WORDS.search(" ".join(rows[0])):
            of_runs.append(path)
            continue
        boxes = box_columns(rows)
        if rows and (boxes is None or (beside_folders and not boxes.headed)):
            table = _read_table(path, rows, known, root, disk, insist=only is not None)
            tables += [] if table is None else [table]
        elif of_boxes and boxes is not None and boxes.readings:
            inside = [row for row in rows if len(row) == len(rows[0])]
            header = rows[0] if boxes.headed else [""] * len(rows[0])
            if not has_scores(header, inside[boxes.headed :], boxes):
                rows = [[cell for c, cell in enumerate(row) if c not in boxes.columns] for row in inside]
                located.append((path, rows))
    # A table of boxes that tells of a part of the images stands beside other labels.
    fewest = MIN_SHARE * sum(1 for _ in disk.images(root)) if located else 0.0
    for path, rows in located if not tables else ():
        table = _read_table(path, rows, known, root, disk, insist=only is not None)
        if table is not None and fewest <= len(table.rows) == len({row[0] for row in table.rows}):
            tables.append(table)
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
            raise _several(near, disk, f"{reference}: {known} and {label}")
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


def _read_table(
    path: Path, rows: Sequence[Sequence[str]], known: set[str], root: Path, disk: Disk, *, insist: bool
) -> LabelTable | None:
    width = len(rows[0])
    headed = not any(names_image(cell, known) for cell in rows[0])
    header = rows[0] if headed else [""] * width
    file = file_column(header, rows[1:], range(width), known)
    if file is None or width < 2:
        return None
    body = [row for row in rows[headed:] if len(row) == width]
    divided, splits = row_splits(header, body, [c for c in range(width) if c != file], disk.name(path))
    free = [c for c in range(width) if c not in (file, *divided)]
    # The phase of an operation and the set of a toy tell what is seen, where no other column does.
    words = [
        c for c in free if is_called(header[c], ("phase", "set")) and not all(is_number(r[c]) for r in body)
    ]
    others = [c for c in free if not is_called(header[c], SPLIT_WORDS)] or words
    labels = _labels(path, header, body, others, disk, insist=insist)
    if labels is None and not headed:
        labels = _of_names(body, file, others)
    if labels is None:
        return None
    references = [row[file] for row in body]
    if not headed and width > 2 and (len(set(references)) < len(body) or len(set(labels)) < 2):
        return None  # a row for each box
    if (num_uneven := len(rows) - headed - len(body)) > disk.limits.unusable_share * len(rows):
        raise DatasetError(
            f"{printable(disk.name(path))}: {num_uneven} of {len(rows)} rows have not "
            f"{counted(width, 'cell')} as the first.",
            remedy="Write a row for each image, and cells that hold a separator in quotation marks.",
        )
    return LabelTable(
        path=path,
        split=split_of_title(path),
        rows=tuple(zip(references, labels, splits, strict=True)),
    )


def _labels(
    path: Path,
    header: Sequence[str],
    body: Sequence[Sequence[str]],
    columns: Sequence[int],
    disk: Disk,
    *,
    insist: bool,
) -> list[str] | None:
    """The class of each row; None where no column gives one."""
    flags = [c for c in columns if {row[c].lower() for row in body} <= FLAGS]
    if len(flags) > 1 and len(flags) == len(columns) and header[flags[0]]:
        classes = [c for c in columns if is_exactly(header[c], LABEL_WORDS)]
        # `label,occluded` in zeros and ones, unless one of them is on in each row
        if len(classes) != 1 or all(sum(row[c].lower() in ON for c in flags) == 1 for row in body):
            return _of_flags(path, header, body, flags, disk)
        columns = classes
    chosen = class_columns(header, body, columns)
    if len(chosen) != 1:
        if insist or len(chosen) > 1:
            remedy = "Call the column of the class `label`, and keep one."
            raise which_class(header, chosen or columns, disk.name(path), remedy)
        return None
    labels = [class_in(row[chosen[0]]) for row in body]
    choices = next((label for label in labels if '"choices"' in label), None)  # of Label Studio
    if choices is not None:
        raise _several(path, disk, choices)
    refuse_lists(labels, disk.name(path))
    _refuse_several(path, labels, disk)
    _refuse_measures(path, labels, disk)
    return labels


def _of_flags(
    path: Path, header: Sequence[str], body: Sequence[Sequence[str]], columns: Sequence[int], disk: Disk
) -> list[str]:
    """Classes from columns of 0 and 1, one a class."""
    found = []
    for row in body:
        on = [header[c] for c in columns if row[c].lower() in ON]
        if len(on) != 1:
            raise _several(
                path, disk, f"a row has {counted(len(on), 'class')}{': ' if on else ''}{', '.join(on[:3])}"
            )
        found.append(on[0])
    return found


def _of_names(body: Sequence[Sequence[str]], file: int, columns: Sequence[int]) -> list[str] | None:
    """Classes from names such as `beagle_12`, where a column of numbers says the same of every image."""
    names = [re.sub(r"_\d+$", "", Path(row[file]).stem) for row in body]
    for column in columns:
        pairs = set(zip(names, (row[column] for row in body), strict=True))
        if 1 < len(pairs) == len(set(names)) == len({number for _, number in pairs}) < len(body):
            return names
    return None


def _refuse_several(path: Path, labels: Sequence[str], disk: Disk) -> None:
    known = dict.fromkeys(labels)
    shared = Counter(part for label in known for part in BARS.split(label))
    for label in known:
        parts = [part for part in SEVERAL.split(label) if part]
        words = label.split()
        apart = len(parts) > 1 and any(part in known or shared[part] > 1 for part in parts)
        if apart or (len(words) > 1 and all(word in known for word in words)):
            raise _several(path, disk, repr(label))


def _refuse_measures(path: Path, labels: Sequence[str], disk: Disk) -> None:
    num_classes = len(set(labels))
    if num_classes > max(FEW_ROWS, MANY_CLASSES * len(labels)) or 2 < num_classes == len(labels):
        raise DatasetError(
            f"{printable(disk.name(path))} names {counted(num_classes, 'class')} for "
            f"{counted(len(labels), 'image')}: no classes to learn.",
            remedy="Name the column of the class `label`; measures are not classes.",
        )


def _several(path: Path, disk: Disk, example: str) -> WrongTaskError:
    return WrongTaskError(
        f"{printable(disk.name(path))} gives images several classes ({printable(example, limit=100)}): multi-label "
        "classification, which is not served.",
        remedy="Keep one class for each image, or make a data set for each question. Head columns of boxes xmin, ymin, "
        "xmax, ymax.",
    )
