"""Pixel boxes of images whose annotations declare another size than the file has.

Either the image was scaled after it was annotated, and the boxes are in pixels of the declared size; or the
declared size is wrong (swapped, or one constant for all), and they are in pixels of the real image. Which of
the two holds is decided by all such images of the data set together: by boxes that fit one size and not the other,
else by where the boxes lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.datasets.images import ImageHeader
from recommender.datasets.raw import Float64Array, RawImage, RawSet
from recommender.errors import DatasetError
from recommender.text import printable

Size = tuple[float, float]  # width, height
TOLERANCE = 1.5  # pixels, and 1 % of the side: rounding, and VOC's shift by one
MIN_BOXES = 5  # fewer tell nothing by where they lie
MINORITY = 0.1  # of the images that tell; above it they contradict each other
CLEARLY_SMALLER = 0.8  # of the other size, on both sides


@dataclass(frozen=True, kw_only=True)
class _Differing:
    """One image whose declared size is not its own."""

    name: str
    declared: Size
    real: Size
    corners_M4: Float64Array


def declared_size_is_wrong(pairs: Iterable[tuple[RawImage, ImageHeader]]) -> bool:
    """True if the boxes of images with another declared size are in pixels of the real image.

    False also where no size differs. Raises DatasetError where some images say so and others the contrary, or
    where pictures seem to have been rotated after they were annotated.
    """
    differing = [found for pair in pairs if (found := _differing(*pair)) is not None]
    if not differing:
        return False
    declared = [one for one in differing if _fits(one, one.declared) and not _fits(one, one.real)]
    real = [one for one in differing if _fits(one, one.real) and not _fits(one, one.declared)]
    if min(len(declared), len(real)) > MINORITY * len(declared + real):
        raise _contradiction(declared[0], real[0])
    swapped = all(one.declared == one.real[::-1] for one in differing)
    if len(declared) > len(real) and swapped:
        raise DatasetError(
            f"{printable(declared[0].name)} is annotated as {_shown(declared[0].declared)} and is "
            f"{_shown(declared[0].real)}: the pictures were rotated after they were annotated.",
            remedy="Rotate them back, or export the annotations again.",
        )
    if declared or real:
        return len(real) > len(declared)
    return swapped or _lie_in_a_corner(differing)


def refuse_fractions(raw: RawSet) -> None:
    """Raise DatasetError where all boxes that should be in pixels are fractions: each would be a dot in a corner."""
    pixels = [image.corners_M4 for image in raw.images if image.units == "pixel" and len(image.corners_M4)]
    if sum(map(len, pixels)) >= MIN_BOXES and all(corners_M4.max() <= 1 for corners_M4 in pixels):
        raise DatasetError(
            f"{printable(raw.name)}: every box is a fraction of the image, and {raw.format} has pixels.",
            remedy="Multiply by the image's size, or export the annotations again.",
        )


def _differing(image: RawImage, header: ImageHeader) -> _Differing | None:
    declared, real = image.declared_size, (float(header.width), float(header.height))
    if image.units != "pixel" or declared is None or not len(image.corners_M4):
        return None
    width, height = header.stored_size
    if declared == real or (header.orientation > 1 and declared == (float(width), float(height))):
        return None  # the second is a photo that EXIF turns
    return _Differing(name=image.name, declared=declared, real=real, corners_M4=image.corners_M4)


def _fits(one: _Differing, size: Size) -> bool:
    margin = TOLERANCE + 0.01 * max(size)
    return bool((one.corners_M4[:, 2:].max(axis=0) <= np.array(size) + margin).all())


def _lie_in_a_corner(differing: Sequence[_Differing]) -> bool:
    """True if all boxes lie in the corner of a larger declared frame that the real image would cover.

    They fit both sizes then; boxes lie around the middle of their image, so the nearer middle decides.
    """
    smaller = all(
        real <= CLEARLY_SMALLER * declared
        for one in differing
        for real, declared in zip(one.real, one.declared, strict=True)
    )
    if not smaller or sum(len(one.corners_M4) for one in differing) < MIN_BOXES:
        return False
    by_real, by_declared = (
        np.concatenate([_centres(one, size) for one, size in zip(differing, sizes, strict=True)]).mean(axis=0)
        for sizes in ([one.real for one in differing], [one.declared for one in differing])
    )
    return bool(np.abs(by_real - 0.5).sum() < np.abs(by_declared - 0.5).sum())


def _centres(one: _Differing, size: Size) -> Float64Array:
    centres_M2: Float64Array = (one.corners_M4[:, :2] + one.corners_M4[:, 2:]) / 2 / np.array(size)
    return centres_M2


def _contradiction(first: _Differing, second: _Differing) -> DatasetError:
    shown = [
        f"{printable(each.name)} ({_shown(each.declared)} annotated, {_shown(each.real)} real)"
        for each in (first, second)
    ]
    return DatasetError(
        f"The sizes in the annotations are not those of the images: the boxes of {shown[0]} fit the annotated size, "
        f"those of {shown[1]} the real one.",
        remedy="Export the annotations again from the images as they are.",
    )


def _shown(size: Size) -> str:
    return f"{size[0]:g}×{size[1]:g}"
