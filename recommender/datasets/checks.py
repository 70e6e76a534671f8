"""Checks of a data set that need its labels and hashes only, no pixel."""

from __future__ import annotations

from collections import Counter

from recommender.datasets.defects import DefectLog, worst_first
from recommender.records import SPLITS, Dataset, Defect, LabelledImage


def quick_defects(dataset: Dataset) -> tuple[Defect, ...]:
    """All defects known without decoding an image: those met while reading, exact copies, absent classes."""
    return worst_first((*dataset.defects, *copy_defects(dataset), *class_defects(dataset)))


def copy_defects(dataset: Dataset) -> tuple[Defect, ...]:
    """Images of the same bytes, within a split and across splits; of each picture the first stands for all."""
    log = DefectLog()
    for image, first in exact_copies(dataset):
        leak = image.split != first.split
        kind = "exact_duplicate_leak" if leak else "exact_duplicate"
        log.add(kind, image.name, f"is {first.name}{f' of {first.split}' if leak else ''}")
    return log.defects()


def exact_copies(dataset: Dataset) -> list[tuple[LabelledImage, LabelledImage]]:
    """Each image whose bytes came before, with the first of them; train comes before val before test."""
    first_of: dict[str, LabelledImage] = {}
    found = []
    for image in sorted(dataset.images, key=lambda image: SPLITS.index(image.split)):
        first = first_of.setdefault(image.sha256, image)
        if first is not image:
            found.append((image, first))
    return found


def class_defects(dataset: Dataset) -> tuple[Defect, ...]:
    """Classes without a box, at all or in one of train and val."""
    log = DefectLog()
    counts = {
        split: Counter(int(index) for image in dataset.of_split(split) for index in image.classes_M)
        for split in SPLITS
    }
    for index, name in enumerate(dataset.class_names):
        train, val, test = (counts[split][index] for split in SPLITS)
        if not train + val + test:
            log.add("class_empty", name)
        elif not train:
            log.add("class_missing_in_train", name, f"{val or test} boxes in {'val' if val else 'test'}")
        elif not val:
            log.add("class_missing_in_val", name, f"{train} boxes in train")
    return log.defects()
