"""Dataset → Profile: every image is hashed, a seeded sample of them embedded, whole and inside boxes or outlines."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recommender.errors import DatasetError
from recommender.profile.basis import EncoderBasis, View, load_basis
from recommender.profile.embedding import ENCODER, MeanEmbedding
from recommender.profile.embedding_workers import ImageTask, embed_images
from recommender.profile.probe import load_probe
from recommender.progress import Progress, silent
from recommender.records import (
    BOX_QUANTILES,
    Dataset,
    FloatArray,
    IntArray,
    LabelledImage,
    Profile,
)
from recommender.store.codec import compact
from recommender.text import counted, printable

# Embedded; the expected squared error of a block is about 0.0002, very similar sets differ by 0.03.
MAX_IMAGES = 2000
MAX_SAMPLED_IMAGES = 256  # vectors kept for nearest-neighbour evidence
MAX_SAMPLED_OBJECTS = 512
HASH_BYTES = 32

logger = logging.getLogger(__name__)


def profile_dataset(
    dataset: Dataset,
    *,
    progress: Progress = silent,
    max_images: int | None = MAX_IMAGES,
    seed: int = 0,
    num_threads: int | None = None,
) -> Profile:
    """Embed a data set with the shipped probe.

    All splits count. Of more than `max_images` images (None: no limit) a seeded sample is embedded, chosen
    and ordered by content, so neither paths nor the order of files matter; every image is hashed. An image
    that cannot be decoded is left out and its hash is zero, as a blank image's, which matches nothing.

    Raises:
        DatasetError: there is no image, none can be decoded, or all are gone.
    """
    basis = load_basis()
    collector = _Collector(basis)
    tasks = _by_content(dataset.images, max_images, seed)
    hashes_NB = np.zeros((len(dataset.images), HASH_BYTES), dtype=np.uint8)
    done = decoded = 0
    for batch in embed_images(tasks, load_probe(), basis.view, num_threads=num_threads):
        for seen in batch:
            if seen.hash_B is None:
                logger.warning("cannot decode %s; left out of the profile", printable(seen.task.image.name))
                continue
            decoded += 1
            hashes_NB[seen.task.index] = seen.hash_B
            if seen.value is not None:
                collector.add(seen.task.image, seen.value, seen.classes_M)
        done += len(batch)
        progress("embedding images", done, len(dataset.images))
    if not decoded:
        if not any(image.path.exists() for image in dataset.images):
            raise DatasetError(
                f"The images of {dataset.name!r} are gone: they were there when its labels were read.",
                remedy="Put them back where they were, and ask again.",
            )
        raise DatasetError(
            f"{dataset.name!r} has {counted(len(dataset.images), 'image')}, and none can be decoded.",
            remedy="Run `recommend datasets inspect` on it to see what is wrong with each.",
        )
    return compact(_profile_of(dataset, collector, hashes_NB))


def _by_content(images: tuple[LabelledImage, ...], max_images: int | None, seed: int) -> Iterator[ImageTask]:
    """The images in an order that depends on content and seed alone; the first ones are embedded."""
    keys = [hashlib.sha256(f"{seed}:{image.sha256}".encode()).digest() for image in images]
    order = sorted(range(len(images)), key=lambda index: (keys[index], images[index].boxes_M4.tobytes()))
    for rank, index in enumerate(order):
        yield ImageTask(index=index, image=images[index], embed=max_images is None or rank < max_images)


class _Collector:
    """Both blocks' means, and the samples that stay: those with the smallest content keys."""

    def __init__(self, basis: EncoderBasis) -> None:
        self.basis = basis
        self.image_mean = MeanEmbedding(basis.image.num_features)
        self.object_mean = MeanEmbedding(basis.objects.num_features)
        self.images = _Sample(MAX_SAMPLED_IMAGES)
        self.objects = _Sample(MAX_SAMPLED_OBJECTS)

    def add(self, image: LabelledImage, view: View, classes_M: IntArray) -> None:
        self.image_mean.add(view.image_1D)
        self.object_mean.add(view.objects_MD)
        rng = np.random.default_rng(int(image.sha256[:16], 16))
        self.images.add(rng.random(1), view.image_1K, np.zeros(1, dtype=np.int64), image.name)
        self.objects.add(rng.random(len(classes_M)), view.objects_MK, classes_M, image.name)


class _Sample:
    """The vectors with the smallest keys, a bounded number of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: list[tuple[float, int, FloatArray, int, str]] = []
        self._added = 0

    def add(
        self, keys_M: NDArray[np.float64], vectors_MK: FloatArray, classes_M: IntArray, name: str
    ) -> None:
        for key, vector_K, label in zip(keys_M, vectors_MK, classes_M, strict=True):
            self._rows.append((float(key), self._added, vector_K.copy(), int(label), name))
            self._added += 1
        if len(self._rows) > 4 * self._size:
            self._cut()

    def _cut(self) -> None:
        self._rows = sorted(self._rows, key=lambda row: row[:2])[: self._size]

    def result(self, dimensions: int) -> tuple[FloatArray, IntArray, tuple[str, ...]]:
        """Vectors, classes and image names, in the order of the keys."""
        self._cut()
        vectors_MK = np.zeros((len(self._rows), dimensions), dtype=np.float32)
        for row, (_, _, vector_K, _, _) in enumerate(self._rows):
            vectors_MK[row] = vector_K
        classes_M = np.array([row[3] for row in self._rows], dtype=np.int64)
        return vectors_MK, classes_M, tuple(row[4] for row in self._rows)


def _profile_of(dataset: Dataset, collector: _Collector, hashes_NB: NDArray[np.uint8]) -> Profile:
    basis = collector.basis
    image_vectors, _, image_names = collector.images.result(basis.image.components_RK.shape[1])
    object_vectors, object_classes, object_images = collector.objects.result(
        basis.objects.components_RK.shape[1]
    )
    embedding = np.concatenate([collector.image_mean.mean(), collector.object_mean.mean()]) * np.sqrt(0.5)
    box_sizes, box_aspects = _box_quantiles(dataset)
    counts = np.bincount(
        np.concatenate([image.classes_M for image in dataset.images]).astype(np.int64),
        minlength=len(dataset.class_names),
    )
    return Profile(
        dataset_hash=dataset.content_hash,
        dataset_name=dataset.name,
        class_names=dataset.class_names,
        class_counts=tuple(int(count) for count in counts),
        num_images=dataset.num_images,
        num_objects=int(counts.sum()),
        box_sizes_Q=box_sizes,
        box_aspects_Q=box_aspects,
        median_width=int(np.median([image.width for image in dataset.images])),
        median_height=int(np.median([image.height for image in dataset.images])),
        encoder=ENCODER,
        embedding_D=embedding.astype(np.float32),
        embedding_noise=(collector.image_mean.noise(), collector.object_mean.noise()),
        image_vectors_NK=image_vectors,
        image_names=image_names,
        object_vectors_MK=object_vectors,
        object_classes_M=object_classes,
        object_images=object_images,
        image_hashes_NB=hashes_NB,
        task=dataset.task,
    )


def _box_quantiles(dataset: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Quantiles of sqrt(relative area) and of width / height in pixels; empty without boxes."""
    sizes = [np.sqrt(image.boxes_M4[:, 2] * image.boxes_M4[:, 3]) for image in dataset.images]
    aspects = [
        (image.boxes_M4[:, 2] * image.width) / np.maximum(image.boxes_M4[:, 3] * image.height, 1e-6)
        for image in dataset.images
    ]
    if not sum(len(image_sizes) for image_sizes in sizes):
        return (), ()
    return _quantiles(np.concatenate(sizes)), _quantiles(np.concatenate(aspects))


def _quantiles(values_M: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values_M.astype(np.float64), BOX_QUANTILES))
