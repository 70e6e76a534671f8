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
MAX_VIEWS = 5  # of one thing, a folder: more files of the same names may be letters, fonts, moods
RUNS, LENGTH = 4, 3  # of pairs that are looked at
RELATED = 0.25  # how much more pictures of one name correlate than pictures of two
CLOSEST = 0.7  # of the pictures correlate most with that of their name, not with the next of the same person
FEW_VALUES = 16
SIDE = 192  # pixels


def refuse_paired(groups: Sequence[Sequence[Path]], name: str, disk: Disk) -> None:
    """Raise DatasetError where folders hold pictures that belong together by their names; a group lies side by side.

    Of a few names without digits that all folders have (`rgb.png`, `depth.png`) each folder is one thing in several
    pictures.
    Else `1.png` in two folders may show two classes or one thing: the pictures tell.
    """
    stems = {place: {path.stem: path for path in disk.images(place)} for group in groups for place in group}
    stems = {place: own for place, own in stems.items() if own}
    names = set().union(*stems.values())
    several = 1 < len(names) <= min(MAX_VIEWS, len(stems) - 1)
    all_alike = several and all(own.keys() == names for own in stems.values())
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
    """Some of the pictures whose names are in both, in runs of neighbours, where nearly all are."""
    shared = sorted(first.keys() & second.keys())
    if len(shared) < max(MIN_PAIRS, SAME_NAMES * max(len(first), len(second))):
        return [], []
    starts = np.linspace(0, len(shared) - LENGTH, RUNS).astype(int)
    shared = [shared[number] for number in sorted({int(s) + each for s in starts for each in range(LENGTH)})]
    return [first[stem] for stem in shared], [second[stem] for stem in shared]


def _belong_together(first: Sequence[Path], second: Sequence[Path], disk: Disk) -> bool:
    """True if pictures of one place in the rows are alike, or if one row holds masks and the other photos."""
    if not first:
        return False
    try:
        if _are_masks(*([read_mask(path, limits=disk.limits) for path in row] for row in (first, second))):
            return True
        thumbs = [np.stack(list(_standardised(row, disk))) for row in (first, second)]
    except ImageError:
        return False  # what is damaged is told later
    alike_NN = thumbs[0] @ thumbs[1].T / thumbs[0].shape[1]
    own = np.eye(len(alike_NN), dtype=bool)
    closest = (alike_NN.argmax(axis=1) == np.arange(len(own))).mean()
    return bool(closest > CLOSEST and alike_NN[own].mean() - alike_NN[~own].mean() > RELATED)


def _are_masks(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> bool:
    """True if one row holds few values, the same again and again, and the other many in pictures of the same sizes."""
    values = [[set(np.unique(picture)) for picture in row] for row in (first, second)]
    few, many = sorted(values, key=lambda row: max(map(len, row)))
    # Else they are drawings in any colours, or empty pictures.
    again = 1 < len(set().union(*few)) <= sum(map(len, few)) / 2
    sized = all(one.shape == other.shape for one, other in zip(first, second, strict=True))
    return again and sized and max(map(len, few)) <= FEW_VALUES < min(map(len, many))


def _standardised(paths: Sequence[Path], disk: Disk) -> Iterator[np.ndarray]:
    """The thumbnail of each picture as a vector of mean 0 and variance 1."""
    for path in paths:
        flat = (
            thumbnail(read_image(path, max_pixels=disk.limits.image_pixels, max_side=SIDE))
            .astype(np.float64)
            .ravel()
        )
        yield (flat - flat.mean()) / (flat.std() + 1e-6)
