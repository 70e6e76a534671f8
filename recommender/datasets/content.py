"""The identity of a data set: what it holds, not where or when."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import numpy as np

from recommender.records import IntArray, LabelledImage
from recommender.tasks import Task

VERSION = b"checkpoint-recommender dataset 1\0"
PER_UNIT = 10**5  # boxes closer than a hundred-thousandth of the image are the same box


def content_hash(images: Iterable[LabelledImage], class_names: tuple[str, ...], task: Task = "detect") -> str:
    """Return the sha256 over task, image bytes, boxes or outlines, splits and class names.

    Paths, file names, order, modification times and the format on disk do not matter; an edit of one
    pixel or one label does, whatever the clock says.
    """
    # Detection came first: its hashes name no task, since recorded runs are known by them.
    total = sha256(VERSION if task == "detect" else VERSION + task.encode() + b"\0")
    for name in class_names:
        encoded = name.encode("utf-8", "surrogatepass")
        total.update(len(encoded).to_bytes(8, "big") + encoded)
    for digest in sorted(_image_digest(image) for image in images):
        total.update(digest)
    return total.hexdigest()


def _image_digest(image: LabelledImage) -> bytes:
    rows_M5 = np.column_stack(
        [image.classes_M, np.rint(image.boxes_M4.astype(np.float64) * PER_UNIT)]
    ).astype(">i8")
    rows = b"".join(sorted(_object_bytes(image, number, row) for number, row in enumerate(rows_M5)))
    return sha256(f"{image.split} {image.sha256} ".encode() + rows).digest()


def _object_bytes(image: LabelledImage, number: int, row_5: IntArray) -> bytes:
    rings = image.polygons[number] if image.polygons is not None else ()
    lines = [np.rint(ring.astype(np.float64) * PER_UNIT).astype(">i8").tobytes() for ring in rings]
    return row_5.tobytes() + b"".join(len(line).to_bytes(8, "big") + line for line in lines)
