"""Checks of a data set that need its labels and hashes only, no pixel."""

from __future__ import annotations

from collections import Counter

from recommender.datasets.defects import DefectLog, worst_first
from recommender.datasets.outlines import crosses_itself
from recommender.records import SPLITS, Dataset, Defect, LabelledImage
from recommender.tasks import task_definition
from recommender.text import counted

MAX_OUTLINES = 20_000  # looked at, a few seconds


def quick_defects(dataset: Dataset) -> tuple[Defect, ...]:
    """All defects known without decoding an image: those met while reading, exact copies, absent classes."""
    return worst_first(
        (*dataset.defects, *copy_defects(dataset), *class_defects(dataset), *outline_defects(dataset))
    )


def copy_defects(dataset: Dataset) -> tuple[Defect, ...]:
    """Images of the same bytes, within a split and across splits; of each picture the first stands for all."""
    log = DefectLog()
    for image, first in exact_copies(dataset):
        leak = image.split != first.split
        kind = "exact_duplicate_leak" if leak else "exact_duplicate"
        log.add(kind, image.name, f"is {first.name}{f' of {first.split}' if leak else ''}")
        if are_two_classes(image, first, dataset):
            log.add("picture_in_two_classes", image.name, f"is {first.name}")
    return log.defects()


def are_two_classes(image: LabelledImage, other: LabelledImage, dataset: Dataset) -> bool:
    """True if two images of a classification set are of different classes."""
    return task_definition(dataset.task).whole_images and image.classes_M.tolist() != other.classes_M.tolist()


def outline_defects(dataset: Dataset) -> tuple[Defect, ...]:
    """Outlines that cross themselves; of very many an even sample is looked at."""
    log = DefectLog()
    outlined = [image for image in dataset.images if image.polygons]
    total = sum(len(image.polygons or ()) for image in outlined)
    for image in outlined[:: 1 + total // MAX_OUTLINES]:
        crossing = sum(any(map(crosses_itself, rings)) for rings in image.polygons or ())
        if crossing:
            log.add("outline_crossing", image.name, counted(crossing, "outline"), count=crossing)
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
    """Classes without an object, at all or in one of train and val."""
    log = DefectLog()
    thing = task_definition(dataset.task).one_object
    counts = {
        split: Counter(int(index) for image in dataset.of_split(split) for index in image.classes_M)
        for split in SPLITS
    }
    for index, name in enumerate(dataset.class_names):
        train, val, test = (counts[split][index] for split in SPLITS)
        if not train + val + test:
            log.add("class_empty", name)
        elif not train:
            log.add(
                "class_missing_in_train", name, f"{counted(val or test, thing)} in {'val' if val else 'test'}"
            )
        elif not val:
            log.add("class_missing_in_val", name, f"{counted(train, thing)} in train")
    return log.defects()
