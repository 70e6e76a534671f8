"""Splits of class folders and masks from tables and lists beside them, as Food-101, CUB-200 and DTD are published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from recommender.datasets.disk import Disk, encoding_of
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.raw import RawSet
from recommender.datasets.split_names import apart, split_of_path, split_of_words, without_trainval
from recommender.datasets.tables.columns import known_names, names_image
from recommender.datasets.tables.image_tables import ImageTable
from recommender.datasets.tables.text import SAMPLED
from recommender.errors import DatasetError
from recommender.records import Split

Row = tuple[str, Path, Split]  # an image, the list that names it, and its split there


def take_splits(raw: RawSet, tables: Sequence[ImageTable], root: Path, disk: Disk) -> None:
    """Divide a set without splits as tables or lists do that name each of its images once; else that is told.

    Those that name none of its images speak of others.
    """
    rows = [
        (row.reference, table.path, chosen)
        for table in tables
        for row in table.rows
        if (chosen := row.split or split_of_path(table.path, root))
    ]
    rows = rows or _by_number(root, disk) or _listed(raw, root, disk)
    if not rows:
        return
    splits: dict[Path, set[Split]] = {}
    try:
        paths = ImageIndex(root, disk).of_names([(reference, near, None) for reference, near, _ in rows])
        for (_, _, split), path in zip(rows, paths, strict=True):
            if path is not None:
                splits.setdefault(path, set()).add(split)
    except DatasetError:  # one name for images in several folders
        splits = {}
    else:
        if splits.keys().isdisjoint(image.path for image in raw.images):
            return  # a contest's list of test images
    if all(len(splits.get(image.path, ())) == 1 for image in raw.images):
        for image in raw.images:
            (image.split,) = splits[image.path]
    else:
        raw.log.add("splits_unused", disk.name(rows[0][1]))


def _listed(raw: RawSet, root: Path, disk: Disk) -> list[Row]:
    """The lines of lists called after splits; the first of numbered divisions (`train1.txt`), which is told."""
    texts = [path for path in disk.walk(root) if split_of_words(apart(path.stem)) and _may_list(path, disk)]
    lines = {path: _lines(path, disk) for path in without_trainval(texts)}
    known = known_names(root, disk) if lines else set()
    lines = {
        path: found
        for path, found in lines.items()
        if 2 * sum(names_image(line, known) for line in found[:SAMPLED]) > len(found[:SAMPLED])
    }
    numbers = {path: re.sub(r"\D", "", path.stem) for path in lines}
    first = min(numbers.values(), key=lambda number: (len(number), number), default="")
    divided = {numbers[path] for path in lines if split_of_words(apart(path.stem)) == "train"}
    if divided != set(numbers.values()):  # numbers of images, not of divisions: train_8.txt and test_4.txt
        numbers = dict.fromkeys(lines, first)
    if len(set(numbers.values())) > 1:
        raw.log.add("splits_first", disk.name(next(path for path in lines if numbers[path] == first)))
    return [
        (line, path, split)
        for path, found in lines.items()
        if numbers[path] == first and (split := split_of_words(apart(path.stem)))
        for line in found
    ]


def _by_number(root: Path, disk: Disk) -> list[Row]:
    """CUB-200's and NABirds' form: `images.txt` numbers the images, `train_test_split.txt` says 1 for train."""
    texts = {path for path in disk.walk(root) if path.suffix == ".txt"}
    for path in texts:
        images = path.with_name("images.txt")
        if path.name == "train_test_split.txt" and images in texts:
            names = dict(line.split(maxsplit=1) for line in _lines(images, disk) if " " in line)
            flags = [line.split() for line in _lines(path, disk)]
            return [
                (names[row[0]], path, "train" if row[1] == "1" else "test")
                for row in flags
                if len(row) == 2 and row[0] in names
            ]
    return []


def _may_list(path: Path, disk: Disk) -> bool:
    """True of a text, and of a CSV of one column."""
    if path.suffix.lower() != ".csv":
        return path.suffix.lower() == ".txt"
    return re.search(rb"[,;\t]", disk.head(path, 4096).partition(b"\n")[0]) is None


def _lines(path: Path, disk: Disk) -> list[str]:
    content = disk.read_bytes(path, disk.limits.list_file_bytes)
    text = content.decode(encoding_of(content), "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]
