"""Makes a Dataset of annotations: opens the headers, checks boxes, splits, hashes, and refuses what is too broken.

Images and rows that cannot be used are left out and counted; above `limits.unusable_share` the set is
refused, since training on what is left would answer another question.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from recommender.datasets.content import content_hash
from recommender.datasets.disk import Disk
from recommender.datasets.frames import Frame
from recommender.datasets.images import (
    PASSED_OVER,
    SUFFIXES_OF,
    ImageError,
    ImageHeader,
    decode_image,
    read_bytes,
    read_header,
)
from recommender.datasets.limits import DatasetLimits
from recommender.datasets.near_groups import near_groups
from recommender.datasets.objects import Objects, Polygon, checked_outlines
from recommender.datasets.raw import NO_OUTLINE, Outline, RawImage, RawSet
from recommender.datasets.sizes import declared_size_is_wrong, refuse_fractions
from recommender.datasets.splitting import keep_together, seeded_val, seeded_val_of_classes
from recommender.datasets.task_choice import choose_task
from recommender.errors import DatasetError, WrongTaskError
from recommender.progress import Progress
from recommender.records import SPLITS, Dataset, FloatArray, IntArray, LabelledImage, Split
from recommender.tasks import Task, task_definition
from recommender.text import counted, printable, unicode_text

CLIP_TOLERANCE = 1e-3  # of the image's side; less is rounding and not told
DARK = 16  # the upper 8 bits of what 12 bits can say
CHUNK = 512  # images handed to the threads at once, so that memory stays flat


def assemble(raw: RawSet, *, disk: Disk, seed: int, progress: Progress, task: Task | None = None) -> Dataset:
    """Open every image's header and build the Dataset for a task; None leaves the choice to the labels.

    Raises WrongTaskError when the labels do not serve the task, DatasetError when too much is broken.
    """
    limits = disk.limits
    task = choose_task(raw, task)
    if task == "segment":
        raw.log.forget("label_outline")
    raw.images = _joined(raw)
    _leave_out_unlabelled_test(raw)
    raw.name, raw.class_names = unicode_text(raw.name), tuple(map(unicode_text, raw.class_names))
    for found in raw.images:
        found.path, found.name = disk.without_links(found.path), unicode_text(found.name)
    _judge_names(raw)
    pairs: list[tuple[RawImage, ImageHeader]] = []
    for number, (annotated, header) in enumerate(_headers(raw, limits), 1):
        progress("reading images", number, len(raw.images))
        if isinstance(header, ImageError):
            raw.log.add(header.kind, annotated.name, header.message)
        else:
            pairs.append((annotated, header))
    refuse_fractions(raw)
    trust_declared = not declared_size_is_wrong(pairs)
    images: list[LabelledImage] = []
    for annotated, header in pairs:
        image = _labelled(annotated, header, raw, task, trust_declared=trust_declared)
        if image is not None:
            images.append(image)
    _refuse_if_broken(raw, limits)
    images, origin = _with_splits(images, raw, seed, progress)
    images.sort(key=lambda image: (image.split, image.name))
    _refuse_without_objects(images, raw, task)
    defects = raw.log.defects()
    # As it lies ultralytics would read it as it is read here.
    as_it_lies = origin == "given" and all(defect.severity == "info" for defect in defects)
    as_it_lies = as_it_lies and all(image.path.suffix.lower() not in PASSED_OVER for image in images)
    as_it_lies = as_it_lies and not disk.found_utf_16
    return Dataset(
        name=raw.name,
        root=raw.root,
        format=raw.format,
        class_names=raw.class_names,
        images=tuple(images),
        content_hash=content_hash(images, raw.class_names, task),
        split_origin=origin,
        task=task,
        config=raw.config if as_it_lies else None,
        defects=defects,
    )


def _joined(raw: RawSet) -> list[RawImage]:
    """One entry a file: boxes of repeated entries are joined, train wins over val over test."""
    order: dict[Split | None, int] = {"train": 0, "val": 1, "test": 2, None: 3}
    first: dict[Path, RawImage] = {}
    repeated: list[RawImage] = []
    for image in sorted(raw.images, key=lambda image: (order[image.split], image.name)):
        known = first.setdefault(image.path, image)
        if known is image:
            continue
        if known.split != image.split:
            repeated.append(image)
        elif raw.format == "coco" or not _same_rows(known, image):
            _join(known, image, raw)
    images = list(first.values())
    if any(image.split == "val" for image in repeated) and not any(image.split == "val" for image in images):
        raw.log.add("val_is_train", repeated[0].name, f"and {len(repeated) - 1} more")
    else:
        for image in repeated:
            raw.log.add("image_in_two_splits", image.name, f"{first[image.path].split} and {image.split}")
    return images


def _same_rows(first: RawImage, second: RawImage) -> bool:
    return np.array_equal(first.classes_M, second.classes_M) and np.array_equal(
        first.corners_M4, second.corners_M4
    )


def _join(known: RawImage, image: RawImage, raw: RawSet) -> None:
    """Add the rows of a second entry of an image. Raises WrongTaskError for a second class of a whole image."""
    if raw.classified:
        raise WrongTaskError(
            f"{printable(image.name)} is listed with several classes: multi-label classification, which is not served.",
            remedy="Keep one class for each image.",
        )
    raw.log.add("image_listed_twice", image.name)
    known.outlines = _outlines(known) + _outlines(image)
    known.classes_M = np.concatenate([known.classes_M, image.classes_M])
    known.corners_M4 = np.concatenate([known.corners_M4, image.corners_M4])
    known.num_rows += image.num_rows


def _leave_out_unlabelled_test(raw: RawSet) -> None:
    """Take away a test split none of whose images has a label where others have: it is no background."""
    test = [image for image in raw.images if image.split == "test"]
    if test and not any(image.labelled for image in test) and any(image.labelled for image in raw.images):
        raw.images = [image for image in raw.images if image.split != "test"]
        raw.log.add("test_unlabelled", test[0].name, f"and {len(test) - 1} more", count=len(test))


def _outlines(image: RawImage) -> tuple[Outline, ...]:
    return image.outlines or (NO_OUTLINE,) * len(image.classes_M)


def _judge_names(raw: RawSet) -> None:
    for name, count in Counter(raw.class_names).items():
        if count > 1:
            raw.log.add("names_duplicate", name, f"names {counted(count, 'class')}")
        if printable(name) != name or not name.strip():
            raw.log.add("names_odd", f"'{printable(name, limit=80)}'")
    alike: dict[str, str] = {}
    for name in dict.fromkeys(raw.class_names):
        plain = " ".join(re.split(r"[\s_-]+", name.strip())).casefold()
        if alike.setdefault(plain, name) != name:
            raw.log.add("names_alike", f"'{alike[plain]}' and '{name}'")


def _headers(raw: RawSet, limits: DatasetLimits) -> Iterator[tuple[RawImage, ImageHeader | ImageError]]:
    def examine(image: RawImage) -> ImageHeader | ImageError:
        try:
            data = read_bytes(image.path, limits=limits)
            header = read_header(image.path, data, limits=limits)
            # Rare, so worth a decode: a missing end marker alone does no harm, nor do 16 bits that are all used.
            if not header.complete or header.sixteen_bits:
                pixels_HW3 = decode_image(image.path, data, max_pixels=limits.image_pixels)
                if header.sixteen_bits and pixels_HW3.max() < DARK:
                    return replace(header, dark=True)
        except ImageError as error:
            return error
        return header

    with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as threads:
        for start in range(0, len(raw.images), CHUNK):
            chunk = raw.images[start : start + CHUNK]
            yield from zip(chunk, threads.map(examine, chunk), strict=True)


def _labelled(
    annotated: RawImage, header: ImageHeader, raw: RawSet, task: Task, *, trust_declared: bool
) -> LabelledImage | None:
    """The image with objects as fractions of what is really there; None when none of its rows is usable."""
    if annotated.path.suffix.lower() not in SUFFIXES_OF.get(header.format, {annotated.path.suffix.lower()}):
        raw.log.add("image_wrong_extension", annotated.name, f"is {header.format}")
    if header.pages:
        raw.log.add("channels_not_three", annotated.name, "a TIFF of several pages")
    if header.dark:
        raw.log.add("image_low_bits", annotated.name)
    frame = Frame()
    if annotated.units == "pixel":
        frame = _frame(annotated, header, raw, trust_declared=trust_declared)
    objects = Objects(classes_M=annotated.classes_M, corners_M4=frame.corners(annotated.corners_M4))
    if task == "segment":
        objects = checked_outlines(objects, annotated, frame, raw.log)
    classes_M, boxes_M4, polygons = _checked_boxes(objects, annotated.name, raw)
    if annotated.num_rows and not len(classes_M):
        # As background it would teach the detector to miss what is there.
        raw.log.add("image_unlabelled", annotated.name, f"{counted(annotated.num_rows, 'row')}, none usable")
        return None
    if not annotated.labelled:
        raw.log.add("image_without_label", annotated.name)
    return LabelledImage(
        path=annotated.path,
        name=annotated.name,
        split=annotated.split or "train",
        width=header.width,
        height=header.height,
        sha256=header.sha256,
        classes_M=classes_M,
        boxes_M4=boxes_M4,
        polygons=polygons,
    )


def _frame(annotated: RawImage, header: ImageHeader, raw: RawSet, *, trust_declared: bool) -> Frame:
    """The conversion of pixels to fractions of the upright image.

    Boxes refer to the size the annotations declare. Where that is the stored size of a photo that EXIF
    turns, the annotator saw it unturned, and the boxes are turned with it. Without `trust_declared` boxes of
    images of another declared size are pixels of the real one.
    """
    upright = (float(header.width), float(header.height))
    declared = annotated.declared_size or upright
    turned = declared != upright and header.orientation > 1 and declared == header.stored_size
    if declared != upright and not turned:
        kind = "image_size_differs" if trust_declared else "image_size_wrong"
        raw.log.add(
            kind, annotated.name, f"said {declared[0]:g}×{declared[1]:g}, is {header.width}×{header.height}"
        )
    size = declared if trust_declared or turned else upright
    return Frame(size=size, orientation=header.orientation if turned else 1)


def _checked_boxes(
    objects: Objects, name: str, raw: RawSet
) -> tuple[IntArray, FloatArray, tuple[Polygon, ...] | None]:
    """Boxes cut at the image's edge, without those that have no area or come twice; and their polygons."""
    classes_M, corners_M4 = objects.classes_M, objects.corners_M4
    clipped_M4 = corners_M4.clip(0.0, 1.0)
    num_clipped = (
        int((np.abs(clipped_M4 - corners_M4).max(axis=1) > CLIP_TOLERANCE).sum()) if len(classes_M) else 0
    )
    if num_clipped:
        raw.log.add("label_clipped", name, count=num_clipped)
    sizes_M2 = clipped_M4[:, 2:] - clipped_M4[:, :2]
    boxes_M4 = np.concatenate([(clipped_M4[:, :2] + clipped_M4[:, 2:]) / 2, sizes_M2], axis=1).astype(
        np.float32
    )
    solid_M = np.asarray((boxes_M4[:, 2:] > 1e-6).all(axis=1))
    if not solid_M.all():
        raw.log.add("label_zero_area", name, count=int((~solid_M).sum()))
    polygons = objects.polygons
    first: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(np.column_stack([classes_M, np.round(boxes_M4 * 1e6)]).tolist()):
        outline = () if polygons is None else tuple(ring.tobytes() for ring in polygons[number])
        if solid_M[number]:
            first.setdefault((*row, *outline), number)
    kept = list(first.values())
    if len(kept) < solid_M.sum():
        raw.log.add("label_duplicate", name, count=int(solid_M.sum()) - len(kept))
    chosen = None if polygons is None else tuple(polygons[number] for number in kept)
    return classes_M[kept], boxes_M4[kept], chosen


def _refuse_if_broken(raw: RawSet, limits: DatasetLimits) -> None:
    num_images = len(raw.images) + raw.num_left_out
    num_rows = sum(image.num_rows for image in raw.images)
    bad_rows, bad_images = raw.log.errors("label_"), raw.log.errors("image_")
    bad_images.pop("image_in_two_splits", None)  # still used, on one side
    num_rows += bad_rows.get("label_dangling_image", 0)  # of no image
    checks: list[tuple[str, dict[str, int], int]] = [
        ("label rows", bad_rows, max(num_rows, sum(bad_rows.values()))),
        ("images", bad_images, num_images),
    ]
    for what, kinds, total in checks:
        bad = min(sum(kinds.values()), total)
        few = bad <= limits.unusable_few and bad <= total / 2
        if total and bad / total > limits.unusable_share and not few:
            counts = ", ".join(
                f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda k: -k[1])
            )
            example = next(d for d in raw.log.defects() if d.kind == max(kinds, key=kinds.__getitem__))
            raise DatasetError(
                f"{bad} of {total} {what} are unusable ({counts}), for example {example.examples[0]}; "
                f"at most {limits.unusable_share:.0%} may be.",
                remedy=example.remedy,
            )


def _refuse_without_objects(images: list[LabelledImage], raw: RawSet, task: Task) -> None:
    for split in ("train", "val"):
        chosen = [image for image in images if image.split == split]
        if not any(len(image.classes_M) for image in chosen):
            row = task_definition(task)
            raise DatasetError(
                f"The {split} split of {printable(raw.name)} holds {counted(len(chosen), 'image')} and not one "
                f"{row.one_object}.",
                remedy=f"An {row.noun} learns from {row.objects}; check that the labels lie where images are "
                "looked up. If whole images are labelled, sort them into folders by class.",
            )


def _with_splits(
    images: list[LabelledImage], raw: RawSet, seed: int, progress: Progress
) -> tuple[list[LabelledImage], Literal["given", "seeded"]]:
    """Keep the splits that were given; where train or val is missing, divide what there is."""
    present = {image.split for image in images}
    named = any(image.split is not None for image in raw.images)
    if named and {"train", "val"} <= present:
        return images, "given"
    pooled = next((split for split in SPLITS if split in present), "train")  # test stays held back if it can
    pool = [image for image in images if image.split == pooled]
    groups = near_groups(pool, progress)
    if raw.classified:
        val = seeded_val_of_classes(pool, groups, seed)
    else:
        val = keep_together(seeded_val(pool, seed), groups, seed)
    divided = [replace(image, split="val" if image.sha256 in val else "train") for image in pool]
    return divided + [image for image in images if image.split != pooled], "seeded"
