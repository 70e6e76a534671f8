"""Data sets. Shape suffixes of arrays: M objects, P points of a ring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recommender.tasks import Task

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
BOX_QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImage:
    """One image and its objects. The file is the user's: read it, never write it.

    An image of a classification set has one object: its class, with the whole image as its box. In an instance
    segmentation set each object has `polygons` too, and its box is their extent.
    """

    path: Path
    name: str  # relative to the data set's root, for people
    split: Split
    width: int  # pixels, after EXIF orientation
    height: int
    sha256: str  # of the file's bytes
    classes_M: IntArray
    boxes_M4: FloatArray  # centre x, centre y, width, height; fractions of the image, within [0, 1]
    # Of each object its rings P2: x, y as fractions. They count by the even-odd rule: parts apart are one object, a
    # ring in another is a hole.
    polygons: tuple[tuple[FloatArray, ...], ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One kind of fault found in a data set."""

    kind: str  # stable code, e.g. "label_nan", "image_truncated", "near_duplicate_leak"
    severity: Literal["info", "warning", "error"]
    count: int
    examples: tuple[str, ...]  # at most five, "relative/path: what is wrong"
    remedy: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A labelled data set of one task, whatever its format on disk."""

    name: str
    root: Path
    format: str  # "yolo", "coco", "voc", "folder", "class folders", …
    class_names: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    content_hash: str  # of task, image bytes, labels, splits and class names; not of paths or times
    split_origin: Literal["given", "seeded"]
    task: Task = "detect"
    config: Path | None = None  # the user's data.yaml, where ultralytics could read it as it is
    defects: tuple[Defect, ...] = ()

    def of_split(self, split: Split) -> tuple[LabelledImage, ...]:
        """The images of one split."""
        return tuple(image for image in self.images if image.split == split)

    @property
    def num_images(self) -> SplitCounts:
        """Counted by split."""
        return SplitCounts(**{split: len(self.of_split(split)) for split in SPLITS})


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """Images per split."""

    train: int
    val: int
    test: int = 0
