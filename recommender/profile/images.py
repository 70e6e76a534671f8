"""One image as the probe takes it: decoded, hashed, scaled into a grey square, its boxes and outlines moved along.

Shapes: S the probe's side in pixels, M boxes of one image, B bytes of a hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.errors import DatasetError
from recommender.profile.probe import GREY, PROBE_SIZE
from recommender.records import ByteArray, LabelledImage

MAX_OBJECTS_PER_IMAGE = 64  # a crowd of thousands says no more than 64 of it, and would outvote other images
Content = tuple[float, float, float, float]  # where an image lies in its square: x1 y1 x2 y2, fractions
COVER_SIDE = 80  # cells a side of the squares in which masks are drawn: four pixels of the probe's each
HASH_SIDE = 80  # pixels; hashing the square at a quarter costs little and forgets the original's resolution


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedImage:
    """One decoded image; `square_3SS` is a view whose memory is (S, S, 3)."""

    hash_B: ByteArray
    square_3SS: NDArray[np.uint8]
    boxes_M4: NDArray[np.float64]  # the whole image first, then objects; x1 y1 x2 y2, fractions of the square
    classes_M: NDArray[np.int64]  # of the objects
    masks_MGG: NDArray[np.bool_] | None = None  # of the objects, drawn in the square; None: boxes only


def prepare_image(image: LabelledImage) -> PreparedImage | None:
    """Decode, hash and letterbox; None for a file that cannot be decoded."""
    from recommender.datasets import read_image

    try:
        pixels = read_image(image.path, max_side=PROBE_SIZE)
    except (DatasetError, OSError):
        return None
    square, content = letterbox(pixels)
    chosen = _sampled_objects(image)
    return PreparedImage(
        hash_B=_hash_of(square, content),
        square_3SS=square,
        boxes_M4=np.concatenate([[content], boxes_in_square(image.boxes_M4[chosen], content)]),
        classes_M=image.classes_M[chosen],
        masks_MGG=_masks_in_square(image, chosen, content),
    )


def letterbox(pixels_HW3: NDArray[np.uint8], size: int = PROBE_SIZE) -> tuple[NDArray[np.uint8], Content]:
    """The image scaled into a grey square, channels first, and where it lies (fractions x1 y1 x2 y2)."""
    import cv2

    height, width = pixels_HW3.shape[:2]
    ratio = size / max(height, width)
    new_width, new_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    if (new_width, new_height) != (width, height):
        # Past a half, linear interpolation skips pixels and fine texture would alias; averaging is slower.
        method = cv2.INTER_AREA if ratio < 0.5 else cv2.INTER_LINEAR
        pixels_HW3 = np.asarray(
            cv2.resize(pixels_HW3, (new_width, new_height), interpolation=method), np.uint8
        )
    left, top = (size - new_width) // 2, (size - new_height) // 2
    square = np.full((size, size, 3), GREY, dtype=np.uint8)
    square[top : top + new_height, left : left + new_width] = pixels_HW3
    content = (left / size, top / size, (left + new_width) / size, (top + new_height) / size)
    return square.transpose(2, 0, 1), content


def _hash_of(square_3SS: NDArray[np.uint8], content: Content) -> ByteArray:
    import cv2

    from recommender.datasets.duplicates import image_hash

    left, top, right, bottom = (round(edge * square_3SS.shape[1]) for edge in content)
    picture = square_3SS.transpose(1, 2, 0)[top:bottom, left:right]
    scale = HASH_SIDE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return image_hash(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8))


def _sampled_objects(image: LabelledImage) -> NDArray[np.int64]:
    """At most MAX_OBJECTS_PER_IMAGE indices, chosen by the image's content alone."""
    count = len(image.boxes_M4)
    if count <= MAX_OBJECTS_PER_IMAGE:
        return np.arange(count)
    rng = np.random.default_rng(int(image.sha256[:16], 16))
    return np.sort(rng.permutation(count)[:MAX_OBJECTS_PER_IMAGE])


def boxes_in_square(boxes_M4: NDArray[Any], content: Content) -> NDArray[np.float64]:
    """Boxes by centre and size, fractions of an image that lies at `content`, as corners in fractions of its square."""
    left, top, right, bottom = content
    centre, half = boxes_M4[:, :2].astype(np.float64), boxes_M4[:, 2:].astype(np.float64) / 2
    corners = np.concatenate([centre - half, centre + half], axis=1).clip(0.0, 1.0)
    placed: NDArray[np.float64] = corners * np.tile([right - left, bottom - top], 2) + np.tile([left, top], 2)
    return placed


def _masks_in_square(
    image: LabelledImage, chosen: NDArray[np.int64], content: Content
) -> NDArray[np.bool_] | None:
    """The outlines of the chosen objects, filled."""
    from recommender.datasets.outlines import draw_mask

    if image.polygons is None:
        return None
    left, top, right, bottom = content
    scale, offset = np.array([right - left, bottom - top]), np.array([left, top])
    masks_MGG = np.zeros((len(chosen), COVER_SIDE, COVER_SIDE), bool)
    for row, number in enumerate(chosen.tolist()):
        rings = [ring.astype(np.float64) * scale + offset for ring in image.polygons[number]]
        masks_MGG[row] = draw_mask(rings, COVER_SIDE, COVER_SIDE)
    return masks_MGG
