"""Masks whose edges were softened, by scaling or as JPEG: each pixel gets a value that means something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.mask_legends import Legend

SHARP_VALUES = 8  # more in a black and white picture, or more colours without a meaning, are softened edges
EXTREMES = 0.9  # of the pixels of a black and white picture, however it was stored
NEAR_GREY = 48  # between the channels of one pixel: a JPEG of three channels is not quite grey
MIDDLE = 127  # of black and white
RIM = 3  # pixels; what is nowhere so wide is an edge
JPEG_RIM = 5  # colours are stored at half the size there

Values = NDArray[np.int32]


def is_jpeg(path: Path) -> bool:
    """True by a file's name: JPEG keeps no value exactly."""
    return path.suffix.lower() in (".jpg", ".jpeg", ".jfif")


def is_black_and_white(values: Values, counts: NDArray[np.int64]) -> bool:
    """True if nearly all pixels are black or white, and none has a colour; values and how many pixels have each."""
    if values.max() > 0xFF and np.ptp(_rgb(values), axis=1).max() > NEAR_GREY:
        return False
    grey = values & 0xFF
    extreme = counts[(grey < 16) | (grey > 239)].sum()
    return bool(extreme > EXTREMES * counts.sum())


def hardened(values_HW: Values, path: Path, *, one_class: bool) -> Values:
    """A mask in grey without a legend, 0 and 1 where it is black and white with softened edges; else as it is.

    Of `one_class`, a few values between are edges where they lie around white and are nowhere wider than a rim.
    """
    values, counts = np.unique(values_HW, return_counts=True)
    if values.max() <= 239 or not is_black_and_white(values, counts):
        return values_HW
    grey_HW = values_HW & 0xFF
    between_HW = (grey_HW > 0) & (grey_HW < grey_HW.max())
    rim = one_class and bool(between_HW.any()) and _is_rim(between_HW, grey_HW == grey_HW.max())
    if len(values) > SHARP_VALUES or is_jpeg(path) or rim:
        return (grey_HW > MIDDLE).astype(np.int32)
    return values_HW


def snapped(values_HW: Values, legend: Legend, path: Path) -> Values:
    """Softened edges between a legend's colours as the colour of the nearest pixel that has one; the rest as it is.

    A few foreign colours are no softening, and one that fills an area is a class that the legend lacks. In a JPEG,
    which has no areas of one colour, one near to the legend's is taken for it, and an area of others is a class.
    """
    known = np.array(sorted({*legend.names, *legend.background}), np.int32)
    values, places = np.unique(values_HW, return_inverse=True)
    foreign = ~np.isin(values, known)
    if len(known) < 2 or foreign.sum() < SHARP_VALUES:
        return values_HW
    if is_jpeg(path):
        nearest_V, distance_V = _nearest_colours(values, known)
        apart_KK = np.linalg.norm(_rgb(known)[:, None] - _rgb(known)[None], axis=2)
        near = distance_V < apart_KK[apart_KK > 0].min() / 4
        values = np.where(near, known[nearest_V], values)
        foreign &= ~near
        area_HW = _wide(foreign[places].reshape(values_HW.shape), JPEG_RIM)
    else:
        area_HW = np.isin(values_HW, np.unique(values_HW[_uniform(values_HW)]))
    found_HW: Values = values[places].reshape(values_HW.shape)
    return _nearest_of(found_HW, foreign[places].reshape(values_HW.shape) & ~area_HW)


def _is_rim(between_HW: NDArray[np.bool_], white_HW: NDArray[np.bool_]) -> bool:
    """True if pixels are nowhere as wide as RIM, and white is that near to each: thin lines lie elsewhere too."""
    import cv2

    square = np.ones((2 * RIM - 1, 2 * RIM - 1), np.uint8)
    around_HW = cv2.dilate(white_HW.astype(np.uint8), square).astype(bool)
    return not (between_HW & ~around_HW).any() and not _wide(between_HW, RIM).any()


def _nearest_colours(values: Values, known: Values) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The number of the nearest known colour of each value, and how far it is; a photo has millions of values."""
    colours_V3 = _rgb(values)
    nearest_V = np.zeros(len(values), np.intp)
    distance_V = np.full(len(values), np.inf)
    for number, colour in enumerate(_rgb(known)):
        own_V = np.linalg.norm(colours_V3 - colour, axis=1)
        nearest_V[own_V < distance_V] = number
        distance_V = np.minimum(own_V, distance_V)
    return nearest_V, distance_V


def _nearest_of(values_HW: Values, soft_HW: NDArray[np.bool_]) -> Values:
    """The values, where they are soft that of the nearest pixel that is not."""
    import cv2

    if soft_HW.all():
        return values_HW
    _, numbers_HW = cv2.distanceTransformWithLabels(
        soft_HW.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_number = np.zeros(int(numbers_HW.max()) + 1, np.int32)
    of_number[numbers_HW[~soft_HW]] = values_HW[~soft_HW]
    found: Values = of_number[numbers_HW]
    return found


def _uniform(values_HW: Values) -> NDArray[np.bool_]:
    """The pixels around which all have one value."""
    import cv2

    square = np.ones((RIM, RIM), np.uint8)
    exact_HW = values_HW.astype(np.float32)  # 24 bits are kept
    same_HW: NDArray[np.bool_] = cv2.erode(exact_HW, square) == cv2.dilate(exact_HW, square)
    return same_HW


def _wide(mask_HW: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels of a mask within a square of `width` that it fills."""
    import cv2

    square = np.ones((width, width), np.uint8)
    opened = cv2.morphologyEx(
        mask_HW.astype(np.uint8), cv2.MORPH_OPEN, square, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    wide: NDArray[np.bool_] = opened.astype(bool)
    return wide


def _rgb(values: Values) -> NDArray[np.float64]:
    return np.stack([values >> 16 & 0xFF, values >> 8 & 0xFF, values & 0xFF], axis=-1).astype(np.float64)
