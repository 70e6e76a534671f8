"""A flat map of data sets: those that look alike lie close together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommender.profile.embedding import squared_distances
from recommender.records import Profile


@dataclass(frozen=True, kw_only=True)
class PlacedDataset:
    """One data set on the map; `x` and `y` within [0, 1]."""

    name: str
    hash: str
    num_images: int
    x: float
    y: float


def dataset_map(profiles: Sequence[Profile]) -> tuple[PlacedDataset, ...]:
    """Classical multidimensional scaling of the data sets' squared distances to two dimensions (Torgerson 1952).

    Distances on the map are the best two dimensions can do, so neighbours are a hint, not a measurement. Signs are
    fixed, so that the same data sets always give the same map.
    """
    size = len(profiles)
    centre_NN = np.eye(size) - 1.0 / max(size, 1)
    values, vectors = np.linalg.eigh(-0.5 * centre_NN @ squared_distances(profiles) @ centre_NN)
    plane = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0.0))
    plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
    if size:
        strongest = plane[np.abs(plane).argmax(axis=0), np.arange(2)]
        plane = plane * np.where(strongest < 0, -1.0, 1.0)
    span = np.ptp(plane, axis=0).max() if size else 0.0
    middle = (plane.max(axis=0) + plane.min(axis=0)) / 2 if size else np.zeros(2)
    scaled = 0.5 + (plane - middle) / (span or 1.0)
    return tuple(
        PlacedDataset(
            name=p.dataset_name,
            hash=p.dataset_hash,
            num_images=p.num_images.train + p.num_images.val + p.num_images.test,
            x=float(x),
            y=float(y),
        )
        for p, (x, y) in zip(profiles, scaled, strict=True)
    )
