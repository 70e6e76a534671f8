"""Many images through the probe: each worker decodes a batch and runs it, on one core of its own.

Workers that share nothing keep every core busy and never wait for each other, and an image's features do not
depend on how many there are. A bounded number of batches is under way, so memory does not grow with the data.

Shapes: M objects of one image, R raw feature dimensions, B bytes of a hash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np

from recommender.blas import available_threads, torch_workers
from recommender.profile.images import prepare_image
from recommender.profile.probe import BATCH_IMAGES, Probe
from recommender.records import ByteArray, FloatArray, IntArray, LabelledImage

MAX_WORKERS = 16
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTask:
    """An image of a data set, and whether to embed it or only to hash it."""

    index: int
    image: LabelledImage
    embed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddedImage(Generic[T]):
    """The result for one image. `hash_B` None: the file cannot be decoded; `value` None: not embedded."""

    task: ImageTask
    hash_B: ByteArray | None
    value: T | None
    classes_M: IntArray  # of the objects that were embedded


def embed_images(
    tasks: Iterable[ImageTask],
    probe: Probe,
    finish: Callable[[FloatArray], T],
    *,
    num_threads: int | None = None,
) -> Iterator[list[EmbeddedImage[T]]]:
    """Batches of results in the order of the tasks.

    `finish` runs in the workers: it turns the raw features of an image (M + 1, R), the whole image first and
    then its objects, into what is wanted of them.
    """
    workers = min(MAX_WORKERS, num_threads or available_threads())
    tasks = iter(tasks)
    with torch_workers("probe", workers) as pool:
        waiting: deque[Future[list[EmbeddedImage[T]]]] = deque()
        while batch := tuple(islice(tasks, BATCH_IMAGES)):
            waiting.append(pool.submit(_embed_batch, batch, probe, finish))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _embed_batch(
    batch: tuple[ImageTask, ...], probe: Probe, finish: Callable[[FloatArray], T]
) -> list[EmbeddedImage[T]]:
    prepared = [prepare_image(task.image) for task in batch]
    chosen = [one for task, one in zip(batch, prepared, strict=True) if one is not None and task.embed]
    squares, boxes = [one.square_3SS for one in chosen], [one.boxes_M4 for one in chosen]
    features = iter(probe.pooled(squares, boxes, [one.masks_MGG for one in chosen]))
    return [
        EmbeddedImage(
            task=task,
            hash_B=None if one is None else one.hash_B,
            value=finish(next(features)) if one is not None and task.embed else None,
            classes_M=np.zeros(0, dtype=np.int64) if one is None else one.classes_M,
        )
        for task, one in zip(batch, prepared, strict=True)
    ]
