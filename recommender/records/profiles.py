"""Profiles of data sets.

Shape suffixes of arrays: N images, M objects, D dataset-vector dimensions, K feature dimensions, B bytes of an image
hash, Q quantiles (5, 25, 50, 75, 95 %).
"""

from __future__ import annotations

from dataclasses import dataclass

from recommender.records.datasets import ByteArray, FloatArray, IntArray, SplitCounts
from recommender.tasks import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """The profile of a data set, for which its images need not be opened again."""

    dataset_hash: str
    dataset_name: str
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    num_images: SplitCounts
    num_objects: int
    box_sizes_Q: tuple[float, ...]  # sqrt(box area / image area)
    box_aspects_Q: tuple[float, ...]  # width / height, in pixels
    median_width: int  # pixels
    median_height: int
    encoder: str  # id of the probe and its embedding, vectors of different ids never mix
    embedding_D: FloatArray  # unit-scale kernel mean embedding: image block, object block
    embedding_noise: tuple[float, float]  # expected squared sampling error of the two blocks
    image_vectors_NK: FloatArray  # a seeded sample of images
    image_names: tuple[str, ...]  # of that sample
    object_vectors_MK: FloatArray  # a seeded sample of objects
    object_classes_M: IntArray
    object_images: tuple[str, ...]  # image name of each sampled object
    image_hashes_NB: ByteArray  # 256-bit dHash of every image, for near duplicates
    task: Task = "detect"
