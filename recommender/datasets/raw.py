"""The result of a reader, for `assembly`: annotations before the images are opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.datasets.defects import DefectLog
from recommender.records import IntArray, Split

Float64Array = NDArray[np.float64]
Corners = tuple[float, float, float, float]  # x min, y min, x max, y max
Rings = tuple[Float64Array, ...]  # closed rings P2 of x, y; even-odd rule


@dataclass(frozen=True, kw_only=True, eq=False)
class RunLengths:
    """A mask as run lengths, columns from the left, in each from the top, 0 first; traced only where it is used."""

    runs: list[int]
    width: int
    height: int


Outline = Rings | RunLengths
NO_OUTLINE: Rings = ()


class Shape(NamedTuple):
    """The annotation of one object: its extent, and its outline where more than a box was drawn."""

    corners: Corners
    outline: Outline = NO_OUTLINE


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
    outlines: tuple[
        Outline, ...
    ] = ()  # of each object, in the units of the corners; () where there are boxes only


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
    classified: bool = False  # one class an image, with the whole image as its box


def boxes_of(found: Sequence[tuple[int, Shape]]) -> tuple[IntArray, Float64Array]:
    """The arrays of an image's objects: numbers of classes M and corners M4."""
    classes_M = np.array([number for number, _ in found], np.int64)
    return classes_M, np.array([shape.corners for _, shape in found], np.float64).reshape(-1, 4)


def no_boxes() -> tuple[IntArray, Float64Array]:
    """Arrays for an image without boxes."""
    return boxes_of(())
