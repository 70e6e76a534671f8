"""What a reader of one format hands to `assembly`: annotations before the images are opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.defects import DefectLog
from recommender.records import IntArray, Split

Float64Array = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class RawImage:
    """An image as annotated. Corners are fractions of the image, or pixels of `declared_size`."""

    path: Path
    name: str
    split: Split | None  # None where the data set names no splits
    classes_M: IntArray
    corners_M4: Float64Array  # x min, y min, x max, y max
    units: Literal["fraction", "pixel"] = "fraction"
    declared_size: tuple[float, float] | None = None  # width, height
    num_rows: int = 0  # annotations found for it, the broken ones included
    labelled: bool = True  # a label file or entry exists; False is background by silence


@dataclass(kw_only=True, eq=False)
class RawSet:
    """All that a reader found."""

    name: str
    root: Path
    format: str
    class_names: tuple[str, ...]
    images: list[RawImage]
    log: DefectLog
    config: Path | None = None  # the user's data.yaml
    num_left_out: int = 0  # listed or found, and not among `images`


def no_boxes() -> tuple[IntArray, Float64Array]:
    """Arrays for an image without boxes."""
    return np.zeros(0, np.int64), np.zeros((0, 4), np.float64)
