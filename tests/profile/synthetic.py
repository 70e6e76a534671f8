"""Profiles without pictures: vectors drawn from a known distribution, embedded through the shipped basis."""

from __future__ import annotations

import hashlib

import numpy as np

from recommender.profile.basis import load_basis
from recommender.profile.embedding import ENCODER, MeanEmbedding
from recommender.records import Profile, SplitCounts

SPREAD = 2.5  # of each component: about that of real images in the shipped basis


def synthetic_profile(
    name: str,
    *,
    centre: float = 0.0,
    images: int = 20,
    objects: int = 2,
    seed: int = 0,
    encoder: str = ENCODER,
) -> Profile:
    """Images around `centre` (in units of the spread) with `objects` objects each, shifted as their image is."""
    rng = np.random.default_rng(seed)
    basis = load_basis()
    size = basis.image.components_RK.shape[1]
    image_vectors = (SPREAD * rng.normal(loc=centre, size=(images, size))).astype(np.float32)
    image_mean = MeanEmbedding(basis.image.num_features)
    object_mean = MeanEmbedding(basis.objects.num_features)
    object_vectors = []
    for vector_K in image_vectors:
        mine = (vector_K + rng.normal(scale=SPREAD / 2, size=(objects, size))).astype(np.float32)
        image_mean.add(basis.image.kernel_features(vector_K[None]))
        object_mean.add(basis.objects.kernel_features(mine))
        object_vectors.append(mine)
    embedding = np.concatenate([image_mean.mean(), object_mean.mean()]) * np.sqrt(0.5)
    names = tuple(f"images/{number}.jpg" for number in range(images))
    return Profile(
        dataset_hash=hashlib.sha256(f"{name}{seed}{centre}{images}{objects}".encode()).hexdigest(),
        dataset_name=name,
        class_names=("thing",),
        class_counts=(images * objects,),
        num_images=SplitCounts(train=images, val=0),
        num_objects=images * objects,
        box_sizes_Q=(0.1, 0.2, 0.3, 0.4, 0.5) if objects else (),
        box_aspects_Q=(0.5, 0.8, 1.0, 1.2, 2.0) if objects else (),
        median_width=640,
        median_height=480,
        encoder=encoder,
        embedding_D=embedding.astype(np.float32),
        embedding_noise=(image_mean.noise(), object_mean.noise()),
        image_vectors_NK=image_vectors,
        image_names=names,
        object_vectors_MK=np.concatenate(object_vectors),
        object_classes_M=np.zeros(images * objects, dtype=np.int64),
        object_images=tuple(image for image in names for _ in range(objects)),
        image_hashes_NB=rng.integers(0, 256, (images, 32), dtype=np.uint8),
    )
