"""Folders of the same pictures, as image and mask or left and right are: they look like class folders and are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from recommender.datasets.disk import Disk
from recommender.datasets.duplicates import thumbnail
from recommender.datasets.images import ImageError, read_image, read_mask
from recommender.errors import DatasetError
from recommender.text import printable

MAX_FOLDERS = 6  # side by side; where there are more, their files are counted alike
MIN_PAIRS = 6
SAME_NAMES = 0.9  # of a folder's pictures
LOOKED_AT = 12  # pairs
RELATED = 0.25  # how much more pictures of one name correlate than pictures of two
FEW_VALUES = 16
SIDE = 192  # pixels


def refuse_paired(groups: Sequence[Sequence[Path]], name: str, disk: Disk) -> None:
    """Raise DatasetError where folders hold pictures that belong together by their names; a group lies side by side.

    Of names without digits that all folders have (`rgb.png`, `depth.png`) each folder is one thing in several pictures.
    Else `1.png` in two folders may show two classes or one thing: the pictures tell.
    """
    stems = {place: {path.stem: path for path in disk.images(place)} for group in groups for place in group}
    stems = {place: own for place, own in stems.items() if own}
    names = set().union(*stems.values())
    all_alike = len(names) > 1 and len(stems) > 1 and all(own.keys() == names for own in stems.values())
    if all_alike and not any(map(str.isdigit, "".join(names))):
        raise _paired(name, list(stems)[:2], disk)
    for group in groups:
        filled = [place for place in group if place in stems]
        for one, other in combinations(filled, 2) if len(filled) <= MAX_FOLDERS else ():
            if _belong_together(*_pairs(stems[one], stems[other]), disk):
                raise _paired(name, [one, other], disk)


def _paired(name: str, places: Sequence[Path], disk: Disk) -> DatasetError:
    one, other = (printable(disk.name(place)) for place in places)
    return DatasetError(
        f"{printable(name)}: {one} and {other} hold pictures of the same names that belong together, as image and "
        "mask or left and right do, so these folders name no classes.",
        remedy="Call the folders of masks `masks`, and those of images `images`; leave one folder of several versions; "
        "or, where the folders are the classes, add --task classify.",
    )


def _pairs(first: Mapping[str, Path], second: Mapping[str, Path]) -> tuple[list[Path], list[Path]]:
    """Some of the pictures whose names are in both, where nearly all are."""
    shared = sorted(first.keys() & second.keys())
    if len(shared) < max(MIN_PAIRS, SAME_NAMES * max(len(first), len(second))):
        return [], []
    shared = shared[:: max(1, len(shared) // LOOKED_AT)]
    return [first[stem] for stem in shared], [second[stem] for stem in shared]


def _belong_together(first: Sequence[Path], second: Sequence[Path], disk: Disk) -> bool:
    """True if pictures of one place in the rows are alike, or if one row holds masks and the other photos."""
    try:
        values = [[_num_values(path, disk) for path in row] for row in (first, second)]
        thumbs = [np.stack(list(_standardised(row, disk))) for row in (first, second) if row]
    except ImageError:
        return False  # what is damaged is told later
    if not thumbs:
        return False
    few, many = sorted(values, key=max)
    if max(few) <= FEW_VALUES < min(many):
        return True
    alike_NN = thumbs[0] @ thumbs[1].T / thumbs[0].shape[1]
    own = np.eye(len(alike_NN), dtype=bool)
    return bool(alike_NN[own].mean() - alike_NN[~own].mean() > RELATED)


def _num_values(path: Path, disk: Disk) -> int:
    return len(np.unique(read_mask(path, limits=disk.limits)))


def _standardised(paths: Sequence[Path], disk: Disk) -> Iterator[np.ndarray]:
    """The thumbnail of each picture as a vector of mean 0 and variance 1."""
    for path in paths:
        flat = (
            thumbnail(read_image(path, max_pixels=disk.limits.image_pixels, max_side=SIDE))
            .astype(np.float64)
            .ravel()
        )
        yield (flat - flat.mean()) / (flat.std() + 1e-6)
