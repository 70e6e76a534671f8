"""Kernel mean embeddings: a set of vectors becomes one, and two sets compare by the distance of their means.

The squared distance of two means in a kernel's feature space is the maximum mean discrepancy (Gretton et al.
2012). Means of few samples are noisy, and noise only ever adds distance; each block therefore carries its
expected squared sampling error, which `compare` takes off.

Shapes: D dimensions of a data set's vector, two blocks of H = D/2; N samples of one image; P profiles.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommender.errors import UsageError
from recommender.records import FloatArray, Profile

# Whole similarity below which two sets count as dissimilar data sets; see benchmarks/results/probe_choice.md.
NOTHING_SIMILAR = 0.8
CARD_FILE = Path(__file__).with_name("encoder.json")
CARD: dict[str, str] = json.loads(CARD_FILE.read_text())
ENCODER = CARD["encoder"]  # id of probe and basis; vectors of different ids never mix


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Similarity of two data sets; 1 is equal, dissimilar ones are below `NOTHING_SIMILAR`."""

    whole: float
    image: float
    object: float | None  # None when either set has no boxes


class MeanEmbedding:
    """The mean of unit kernel features that arrive image by image, and its sampling error.

    Samples of one image resemble each other, so the error is that of a mean over clusters:
    m/(m−1) · Σᵢ ‖sᵢ − nᵢμ‖² / n², with sᵢ the sum and nᵢ the number of image i's samples.
    """

    def __init__(self, dimensions: int) -> None:
        self._sum = np.zeros(dimensions)
        self._weighted = np.zeros(dimensions)  # Σ nᵢ sᵢ
        self._square = 0.0  # Σ ‖sᵢ‖²
        self._count_square = 0.0  # Σ nᵢ²
        self._count = 0
        self._images = 0

    def add(self, features_ND: FloatArray) -> None:
        """The kernel features of one image's samples; an image without samples changes nothing."""
        count = len(features_ND)
        if not count:
            return
        total = features_ND.sum(axis=0, dtype=np.float64)
        self._sum += total
        self._weighted += count * total
        self._square += float(total @ total)
        self._count_square += float(count) ** 2
        self._count += count
        self._images += 1

    def mean(self) -> NDArray[np.float64]:
        """The mean; zeros when nothing was added."""
        return self._sum / self._count if self._count else self._sum.copy()

    def noise(self) -> float:
        """Expected squared distance from the mean of endless samples; 0 when one image cannot tell."""
        if self._images < 2:
            return 0.0
        mean = self.mean()
        spread = self._square - 2 * float(mean @ self._weighted) + self._count_square * float(mean @ mean)
        error = self._images / (self._images - 1) * spread / self._count**2
        return min(1.0, max(0.0, error))


def compare(a: Profile, b: Profile) -> Similarity:
    """Similarity of two data sets: 1 minus the squared distance of their embeddings, noise taken off.

    Symmetric; 1 for a set and itself; independent of names and numbers of classes. Of the two blocks
    `whole` is the mean, or the image block alone when one of the sets has no boxes.

    Raises:
        UsageError: the profiles were made by different encoders.
    """
    _require_same_encoder(a, b)
    half = len(a.embedding_D) // 2
    image = _similarity(
        a.embedding_D[:half], b.embedding_D[:half], a.embedding_noise[0] + b.embedding_noise[0]
    )
    if not (has_objects(a) and has_objects(b)):
        return Similarity(whole=image, image=image, object=None)
    objects = _similarity(
        a.embedding_D[half:], b.embedding_D[half:], a.embedding_noise[1] + b.embedding_noise[1]
    )
    return Similarity(whole=(image + objects) / 2, image=image, object=objects)


def squared_distances(profiles: Sequence[Profile]) -> NDArray[np.float64]:
    """1 − whole similarity of every pair, as `compare` has it, at least 0: (P, P) for P profiles.

    Raises:
        UsageError: the profiles were made by different encoders.
    """
    for profile in profiles:
        _require_same_encoder(profiles[0], profile)
    if not profiles:
        return np.zeros((0, 0))
    blocks_2PH = np.stack([profile.embedding_D for profile in profiles]).astype(np.float64)
    blocks_2PH = blocks_2PH.reshape(len(profiles), 2, -1).transpose(1, 0, 2)
    noise_2P = np.array([profile.embedding_noise for profile in profiles]).T
    length_2P = (blocks_2PH**2).sum(axis=2)
    squared_2PP = (
        length_2P[:, :, None] + length_2P[:, None, :] - 2.0 * blocks_2PH @ blocks_2PH.transpose(0, 2, 1)
    )
    distance_2PP = np.maximum(2.0 * squared_2PP - noise_2P[:, :, None] - noise_2P[:, None, :], 0.0)
    with_objects_P = np.array([has_objects(profile) for profile in profiles])
    both_PP = with_objects_P[:, None] & with_objects_P[None, :]
    whole: NDArray[np.float64] = np.where(both_PP, distance_2PP.mean(axis=0), distance_2PP[0])
    np.fill_diagonal(whole, 0.0)
    return whole


def has_objects(profile: Profile) -> bool:
    """True if the profile's object block says anything."""
    return bool(np.any(profile.embedding_D[len(profile.embedding_D) // 2 :]))


def unit_rows(vectors_MK: FloatArray) -> FloatArray:
    """Rows scaled to length one; zero rows stay zero."""
    lengths_M1 = np.linalg.norm(vectors_MK, axis=1, keepdims=True)
    scaled: FloatArray = (vectors_MK / np.maximum(lengths_M1, 1e-12)).astype(np.float32)
    return scaled


def _require_same_encoder(a: Profile, b: Profile) -> None:
    if a.encoder != b.encoder:
        raise UsageError(
            f"Profiles of {a.dataset_name!r} ({a.encoder}) and {b.dataset_name!r} ({b.encoder}) "
            "do not compare.",
            remedy="Profile both data sets with this version.",
        )


def _similarity(a_D: FloatArray, b_D: FloatArray, noise: float) -> float:
    # Blocks are stored scaled by sqrt(1/2), so that the whole vector's inner product is the blocks' mean.
    difference = a_D.astype(np.float64) - b_D
    return 1.0 - max(0.0, 2.0 * float(difference @ difference) - noise)
