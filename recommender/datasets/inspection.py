"""The health of a data set: every image is decoded, counted, measured and compared with the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from recommender.datasets.checks import are_two_classes, class_defects, exact_copies, outline_defects
from recommender.datasets.defects import DefectLog, worst_first
from recommender.datasets.duplicates import HASH_BYTES, THUMB_SIDE, Pictures, copies, image_hash, thumbnail
from recommender.datasets.images import ImageError, read_image
from recommender.progress import Progress, silent
from recommender.records import (
    BOX_QUANTILES,
    SPLITS,
    ByteArray,
    Dataset,
    Defect,
    FloatArray,
    LabelledImage,
    Split,
)
from recommender.tasks import Task

LOOK_SIDE = 192  # pixels; enough for hash and thumbnail, and JPEG decodes faster
TINY_BOX = 4.0  # pixels
CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class SplitHealth:
    """Counts and sizes of one split. Quantiles are at 5, 25, 50, 75 and 95 %; empty without boxes."""

    split: Split
    num_images: int
    num_boxes: int
    num_background: int  # images without boxes
    class_counts: tuple[int, ...]  # boxes of each class
    boxes_per_image_Q: tuple[float, ...]
    box_sizes_Q: tuple[float, ...]  # sqrt(box area ÷ image area)
    box_sides_Q: tuple[float, ...]  # sqrt(box area), pixels
    image_widths_Q: tuple[float, ...]  # pixels
    image_heights_Q: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Two images of one picture."""

    name: str
    original: str  # the other one; in train where only one of them is
    splits: tuple[Split, Split]
    exact: bool  # the same bytes

    @property
    def leak(self) -> bool:
        """True if the two lie in different splits."""
        return self.splits[0] != self.splits[1]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """All that `recommend datasets inspect` tells."""

    dataset_name: str
    format: str
    content_hash: str
    class_names: tuple[str, ...]
    split_origin: str
    splits: tuple[SplitHealth, ...]
    defects: tuple[Defect, ...]
    copies: tuple[Copy, ...]
    task: Task = "detect"

    @property
    def healthy(self) -> bool:
        """True if nothing of severity error or warning was found."""
        return all(defect.severity == "info" for defect in self.defects)


def inspect_dataset(dataset: Dataset, *, progress: Progress = silent) -> Inspection:
    """Decode every image and report counts, balance, sizes, defects, duplicates and leaks."""
    log = DefectLog()
    found = _copies(dataset, log, progress)
    splits = tuple(_health(split, dataset) for split in SPLITS if dataset.of_split(split))
    _judge_boxes(dataset, log)
    return Inspection(
        dataset_name=dataset.name,
        format=dataset.format,
        content_hash=dataset.content_hash,
        class_names=dataset.class_names,
        split_origin=dataset.split_origin,
        splits=splits,
        defects=worst_first(
            (*dataset.defects, *class_defects(dataset), *outline_defects(dataset), *log.defects())
        ),
        copies=found,
        task=dataset.task,
    )


def _copies(dataset: Dataset, log: DefectLog, progress: Progress) -> tuple[Copy, ...]:
    """Copies within each split and between any two; of exact ones, the first stands for all."""
    exact = exact_copies(dataset)
    found = [_copy(image, first, exact=True) for image, first in exact]
    later = {id(image) for image, _ in exact}
    images, looks = _looked_at(dataset, log, progress)
    members = {
        split: [n for n, image in enumerate(images) if image.split == split and id(image) not in later]
        for split in SPLITS
    }
    for position, split in enumerate(SPLITS):
        for other in SPLITS[: position + 1]:
            progress("comparing images", position, len(SPLITS))
            rows, columns = members[split], members[other]
            pairs = copies(_pick(looks, rows), None if split == other else _pick(looks, columns))
            found += [_copy(images[rows[i]], images[columns[j]], exact=False) for i, j in pairs.tolist()]
    _tell_two_classes(found, dataset, log)
    told: set[tuple[str, str]] = set()
    for copy in found:
        kind = ("exact" if copy.exact else "near") + "_duplicate" + ("_leak" if copy.leak else "")
        if (kind, copy.name) not in told:  # one image counts once, however many look like it
            told.add((kind, copy.name))
            where = f" of {copy.splits[1]}" if copy.leak else ""
            log.add(kind, copy.name, f"{'is' if copy.exact else 'looks like'} {copy.original}{where}")
    return tuple(found)


def _tell_two_classes(found: Sequence[Copy], dataset: Dataset, log: DefectLog) -> None:
    """Pictures that come twice and are labelled as two things."""
    named = {image.name: image for image in dataset.images}
    for copy in {(copy.name, copy.exact): copy for copy in found}.values():  # an image counts once
        if are_two_classes(named[copy.name], named[copy.original], dataset):
            kind = "picture_in_two_classes" if copy.exact else "likeness_in_two_classes"
            log.add(kind, copy.name, f"{'is' if copy.exact else 'looks like'} {copy.original}")


def _pick(looks: Pictures, rows: list[int]) -> Pictures:
    return Pictures(hashes_NB=looks.hashes_NB[rows], thumbs_NSS=looks.thumbs_NSS[rows])


def _copy(image: LabelledImage, original: LabelledImage, *, exact: bool) -> Copy:
    return Copy(name=image.name, original=original.name, splits=(image.split, original.split), exact=exact)


def _looked_at(dataset: Dataset, log: DefectLog, progress: Progress) -> tuple[list[LabelledImage], Pictures]:
    """The images that decode, with their hashes and thumbnails."""

    def look(image: LabelledImage) -> tuple[ByteArray, ByteArray] | ImageError:
        try:
            pixels_HW3 = read_image(image.path, max_side=LOOK_SIDE)
        except ImageError as error:
            return error
        return image_hash(pixels_HW3), thumbnail(pixels_HW3)

    images, hashes, thumbs = [], [], []
    with ThreadPoolExecutor(max_workers=min(8, 1 + (os.cpu_count() or 1))) as threads:
        for start in range(0, len(dataset.images), CHUNK):
            chunk = dataset.images[start : start + CHUNK]
            for image, result in zip(chunk, threads.map(look, chunk), strict=True):
                if isinstance(result, ImageError):
                    log.add(result.kind, image.name, result.message)
                else:
                    images.append(image)
                    hashes.append(result[0])
                    thumbs.append(result[1])
            progress("looking at images", min(start + CHUNK, len(dataset.images)), len(dataset.images))
    hashes_NB = np.array(hashes, np.uint8).reshape(len(images), HASH_BYTES)
    thumbs_NSS = np.array(thumbs, np.uint8).reshape(len(images), THUMB_SIDE, THUMB_SIDE)
    return images, Pictures(hashes_NB=hashes_NB, thumbs_NSS=thumbs_NSS)


def _health(split: Split, dataset: Dataset) -> SplitHealth:
    images = dataset.of_split(split)
    counts = Counter(int(index) for image in images for index in image.classes_M)
    shares = [np.sqrt(image.boxes_M4[:, 2] * image.boxes_M4[:, 3]) for image in images]
    sides = [_sides(image) for image in images]
    per_image = np.array([len(image.classes_M) for image in images], np.float32)
    return SplitHealth(
        split=split,
        num_images=len(images),
        num_boxes=int(per_image.sum()),
        num_background=int((per_image == 0).sum()),
        class_counts=tuple(counts.get(index, 0) for index in range(len(dataset.class_names))),
        boxes_per_image_Q=_quantiles(per_image),
        box_sizes_Q=_quantiles(np.concatenate(shares)),
        box_sides_Q=_quantiles(np.concatenate(sides)),
        image_widths_Q=_quantiles(np.array([image.width for image in images], np.float32)),
        image_heights_Q=_quantiles(np.array([image.height for image in images], np.float32)),
    )


def _sides(image: LabelledImage) -> FloatArray:
    area_M = image.boxes_M4[:, 2] * image.width * image.boxes_M4[:, 3] * image.height
    sides: FloatArray = np.sqrt(area_M).astype(np.float32)
    return sides


def _quantiles(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, BOX_QUANTILES)) if len(values) else ()


def _judge_boxes(dataset: Dataset, log: DefectLog) -> None:
    for image in dataset.images:
        tiny = int((_sides(image) < TINY_BOX).sum())
        if tiny:
            log.add("box_tiny", image.name, f"{tiny} below {TINY_BOX:g} px", count=tiny)
