"""The target's objects and some background, decoded once, for every candidate's network to look at.

Background boxes make class scores meaningful where there is one class only: a detector has to tell objects
from what is not an object, and both are asked of the same features.

Shapes: N images, S the square's side in pixels, M boxes, objects first and background after.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recommender.errors import DatasetError
from recommender.profile.images import Content, boxes_in_square, letterbox
from recommender.records import Dataset, LabelledImage
from recommender.tasks import Task, task_definition

SAMPLE_SIZE = 256  # pixels; 320 cost half as much again and ranked no more firmly, see benchmarks/results
SAMPLE_IMAGES = 64
SAMPLE_BOXES_PER_IMAGE = 24  # a crowd says no more, and would outvote other images
WHOLE_IMAGES, WHOLE_SIZE = 128, 96  # of image classification: one label an image, and it fills the picture
BACKGROUND = -1  # label of boxes without an object
_TRIES = 8
_MAX_OVERLAP = 0.1  # of the background box's area with any object

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetSample:
    """Squares of some train images and the boxes to look at in them."""

    squares_N3SS: NDArray[np.uint8]
    boxes: tuple[NDArray[np.float64], ...]  # per image M4: x1 y1 x2 y2, fractions of the square
    labels_M: NDArray[np.int64]  # class, or BACKGROUND; all images' boxes one after the other
    images_M: NDArray[np.int64]  # which image each box is of
    shapes_M4: NDArray[np.float64]  # centre and size in fractions of the image, to be predicted
    task: Task = "detect"  # of the data set
    class_names: tuple[str, ...] = ()  # of the data set, in the order of the labels
    labelled: tuple[LabelledImage, ...] = ()  # whose squares these are, with every object
    contents: tuple[Content, ...] = ()  # where each lies in its square

    @property
    def num_objects(self) -> int:
        """Boxes that hold an object."""
        return int((self.labels_M != BACKGROUND).sum())


def sample_target(dataset: Dataset, *, num_images: int | None = None, seed: int = 0) -> TargetSample:
    """Decode train images with objects to squares, chosen by content: neither names nor order matter.

    Falls back on the other splits where the train split holds no object. Images that cannot be decoded are
    left out; without any the sample is empty.
    """
    whole = task_definition(dataset.task).whole_images
    num_images = num_images or (WHOLE_IMAGES if whole else SAMPLE_IMAGES)
    size = WHOLE_SIZE if whole else SAMPLE_SIZE
    labelled = [image for image in dataset.of_split("train") if len(image.boxes_M4)]
    labelled = labelled or [image for image in dataset.images if len(image.boxes_M4)]
    keys = {
        id(image): hashlib.sha256(f"evidence:{seed}:{image.sha256}".encode()).digest() for image in labelled
    }
    chosen = sorted(labelled, key=lambda image: (keys[id(image)], image.boxes_M4.tobytes()))[:num_images]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "evidence") as pool:
        prepared = [
            one for one in pool.map(lambda image: _prepare(image, size, seed), chosen) if one is not None
        ]
    return replace(_joined(prepared, size, dataset.task), class_names=dataset.class_names)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Prepared:
    square_3SS: NDArray[np.uint8]
    boxes_M4: NDArray[np.float64]
    labels_M: NDArray[np.int64]
    shapes_M4: NDArray[np.float64]
    labelled: LabelledImage
    content: Content


def _joined(prepared: Sequence[_Prepared], size: int, task: Task) -> TargetSample:
    empty = np.zeros((0, 3, size, size), dtype=np.uint8)
    return TargetSample(
        squares_N3SS=np.stack([one.square_3SS for one in prepared]) if prepared else empty,
        boxes=tuple(one.boxes_M4 for one in prepared),
        labels_M=np.concatenate([np.zeros(0, dtype=np.int64), *(one.labels_M for one in prepared)]),
        images_M=np.repeat(np.arange(len(prepared)), [len(one.labels_M) for one in prepared]),
        shapes_M4=np.concatenate([np.zeros((0, 4)), *(one.shapes_M4 for one in prepared)]),
        task=task,
        labelled=tuple(one.labelled for one in prepared),
        contents=tuple(one.content for one in prepared),
    )


def _prepare(image: LabelledImage, size: int, seed: int) -> _Prepared | None:
    from recommender.datasets import read_image

    try:
        pixels = read_image(image.path, max_side=size)
    except (DatasetError, OSError) as error:
        logger.warning("cannot decode %s; left out of the evidence: %s", image.name, error)
        return None
    square, content = letterbox(pixels, size)
    rng = np.random.default_rng([seed, int(image.sha256[:16], 16)])
    chosen = np.sort(rng.permutation(len(image.boxes_M4))[:SAMPLE_BOXES_PER_IMAGE])
    objects_M4 = image.boxes_M4.astype(np.float64)
    background_M4 = _background(objects_M4, objects_M4[chosen], rng)
    shapes_M4 = np.concatenate([objects_M4[chosen], background_M4])
    labels = np.concatenate([image.classes_M[chosen], np.full(len(background_M4), BACKGROUND)])
    return _Prepared(
        square_3SS=square,
        boxes_M4=boxes_in_square(shapes_M4, content),
        labels_M=labels.astype(np.int64),
        shapes_M4=shapes_M4,
        labelled=image,
        content=content,
    )


def _background(
    objects_M4: NDArray[np.float64], sizes_M4: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Boxes of the given boxes' sizes at random places without objects; fewer where there is no room."""
    found = []
    for width, height in sizes_M4[:, 2:].clip(1e-3, 1.0):
        places_T2 = rng.random((_TRIES, 2)) * [1.0 - width, 1.0 - height] + [width / 2, height / 2]
        tries_T4 = np.concatenate([places_T2, np.tile([width, height], (_TRIES, 1))], axis=1)
        free = np.flatnonzero(_overlap(tries_T4, objects_M4).max(axis=1) <= _MAX_OVERLAP)
        if len(free):
            found.append(tries_T4[free[0]])
    return np.stack(found) if found else np.zeros((0, 4))


def _overlap(boxes_T4: NDArray[np.float64], others_M4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each box's area, or of the other's if that is smaller, that both cover: (T, M)."""
    low = np.maximum(_low(boxes_T4)[:, None], _low(others_M4)[None])
    high = np.minimum(_high(boxes_T4)[:, None], _high(others_M4)[None])
    shared_TM = np.clip(high - low, 0.0, None).prod(axis=2)
    smaller_TM = np.minimum(boxes_T4[:, None, 2:].prod(axis=2), others_M4[None, :, 2:].prod(axis=2))
    share: NDArray[np.float64] = shared_TM / np.maximum(smaller_TM, 1e-12)
    return share


def _low(boxes_M4: NDArray[np.float64]) -> NDArray[np.float64]:
    low: NDArray[np.float64] = boxes_M4[:, :2] - boxes_M4[:, 2:] / 2
    return low


def _high(boxes_M4: NDArray[np.float64]) -> NDArray[np.float64]:
    high: NDArray[np.float64] = boxes_M4[:, :2] + boxes_M4[:, 2:] / 2
    return high
