"""The fixed basis: raw probe features → K whitened-by-scale principal components → random Fourier features.

Fitted once by `python -m benchmarks.fit_probe_basis` on openly licensed sets and shipped; vectors of
different bases never mix, so its checksum is part of the encoder's id.

Shapes: N samples, M objects, R raw feature dimensions, K components, F random frequencies, D = 2F kernel
features.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from recommender.profile.embedding import CARD
from recommender.profile.probe import read_shipped
from recommender.records import FloatArray

BASIS_FILE = Path(__file__).with_name("basis.npz")


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """One block's map from raw features to components, and from components to kernel features."""

    mean_R: FloatArray
    scale_R: FloatArray
    components_RK: FloatArray
    frequencies_KF: FloatArray  # already divided by the kernel's bandwidth

    # torch, not numpy, multiplies: numpy's BLAS would start a thread of its own for each core, and those wait
    # by spinning while the probe needs the cores.

    def project(self, features_NR: FloatArray) -> FloatArray:
        """Standardise and rotate: (N, K)."""
        import torch

        standard_NR = torch.from_numpy((features_NR - self.mean_R) / self.scale_R)
        vectors_NK: FloatArray = (standard_NR @ torch.from_numpy(self.components_RK)).numpy()
        return vectors_NK

    def kernel_features(self, vectors_NK: FloatArray) -> FloatArray:
        """(N, 2F) unit rows whose inner product is close to a Gaussian kernel (Rahimi & Recht 2007)."""
        import torch

        angles_NF = torch.from_numpy(vectors_NK) @ torch.from_numpy(self.frequencies_KF)
        features = torch.cat([angles_NF.cos(), angles_NF.sin()], dim=1) * angles_NF.shape[1] ** -0.5
        features_ND: FloatArray = features.numpy()
        return features_ND

    @property
    def num_features(self) -> int:
        """Dimensions of one block of the embedding, 2F."""
        return 2 * int(self.frequencies_KF.shape[1])


@dataclass(frozen=True, kw_only=True)
class EncoderBasis:
    """The bases of the image block and the object block."""

    image: Basis
    objects: Basis

    def view(self, features_MR: FloatArray) -> View:
        """Raw features of one image, the whole first, as both blocks see them."""
        image_1K = self.image.project(features_MR[:1])
        objects_MK = self.objects.project(features_MR[1:])
        return View(
            image_1K=image_1K,
            objects_MK=objects_MK,
            image_1D=self.image.kernel_features(image_1K),
            objects_MD=self.objects.kernel_features(objects_MK),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """Components and kernel features of one image and of its objects."""

    image_1K: FloatArray
    objects_MK: FloatArray
    image_1D: FloatArray
    objects_MD: FloatArray


@cache
def load_basis() -> EncoderBasis:
    """The shipped basis. Raises StorageError when its file is not the one the encoder's id stands for."""
    content = read_shipped(BASIS_FILE, CARD["basis_sha256"])
    blocks = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for block in ("image", "object"):
            blocks[block] = Basis(
                mean_R=arrays[f"{block}_mean"],
                scale_R=arrays[f"{block}_scale"],
                components_RK=arrays[f"{block}_components"],
                frequencies_KF=arrays[f"{block}_frequencies"],
            )
    return EncoderBasis(image=blocks["image"], objects=blocks["object"])
