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
Units = Literal["fraction", "pixel"]  # of the image, or of its declared size


class Shape(NamedTuple):
    """The annotation of one object: its extent, and its outline where more than a box was drawn."""

    corners: Corners
    outline: Outline = NO_OUTLINE


NumberedShape = tuple[int, Shape]  # the number of its class, and where it lies


@dataclass(kw_only=True, eq=False)
class RawImage:
    """An image as annotated. Corners are fractions of the image, or pixels of `declared_size`."""

    path: Path
    name: str
    split: Split | None  # None where the data set names no splits
    classes_M: IntArray
    corners_M4: Float64Array  # x min, y min, x max, y max
    units: Units = "fraction"
    declared_size: tuple[float, float] | None = None  # width, height
    num_rows: int = 0  # annotations found for it, the broken ones included
    labelled: bool = True  # a label file or entry exists; False is background by silence
    # Of each object, in the units of the corners; () where there are boxes only.
    outlines: tuple[Outline, ...] = ()

    @classmethod
    def of(
        cls,
        path: Path,
        name: str,
        split: Split | None,
        objects: Sequence[NumberedShape] = (),
        *,
        num_rows: int = 0,
        units: Units = "fraction",
        declared_size: tuple[float, float] | None = None,
        labelled: bool = True,
    ) -> RawImage:
        """An image with its objects, of which `num_rows` counts the broken ones too."""
        return cls(
            path=path,
            name=name,
            split=split,
            classes_M=np.array([number for number, _ in objects], np.int64),
            corners_M4=np.array([shape.corners for _, shape in objects], np.float64).reshape(-1, 4),
            units=units,
            declared_size=declared_size,
            num_rows=num_rows,
            labelled=labelled,
            outlines=tuple(shape.outline for _, shape in objects),
        )


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
    tables: frozenset[Path] = frozenset()  # that give its images classes
