"""The classes of Pascal VOC's masks where no legend lies beside them: the boxes of the XML files tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.mask_legends import Legend
from recommender.datasets.raw import Corners
from recommender.datasets.voc import read_voc_file

# In the order of their numbers in VOC's own masks, from 1: VOC2012's development kit, `VOCinit.m`.
VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
SAME = 0.7  # intersection over union from which an object of the masks is that of a box
SURE = 2 / 3  # of the boxes of a value agree on its name

# The value of an object in the mask of classes, and its extent in pixels: x1, y1, x2, y2.
Seen = tuple[int, Corners]


def boxes_by_stem(root: Path, disk: Disk, stems: Iterable[str]) -> dict[str, list[tuple[str, Corners]]]:
    """The named boxes of the XML files called so, in pixels."""
    wanted = set(stems)
    found = {}
    for path in disk.walk(root):
        if path.suffix.lower() == ".xml" and path.stem in wanted:
            file = read_voc_file(path, disk, DefectLog())  # its faults matter where boxes are read
            if file is not None:
                found[path.stem] = [
                    (name, shape.corners) for name, shape in file.objects if shape is not None
                ]
    return found


def legend_by_boxes(
    seen: Mapping[str, Sequence[Seen]], boxes: Mapping[str, Sequence[tuple[str, Corners]]]
) -> Legend | None:
    """The names of mask values, from the boxes that have the extent of their objects; both by the image's stem.

    None where a value has no box or its boxes do not agree. Where they agree with VOC's own numbers, all of these hold.
    """
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    for stem, objects in seen.items():
        for value, corners in objects:
            overlap, name = max(
                ((_overlap(corners, box), name) for name, box in boxes.get(stem, ())), default=(0.0, "")
            )
            votes[value].update([name] if overlap >= SAME else [])
    names = {}
    for value, counted in votes.items():
        if counted and counted.most_common(1)[0][1] >= SURE * counted.total():
            names[value] = counted.most_common(1)[0][0]
    own = dict(enumerate(VOC_CLASSES, 1))
    if names and all(own.get(value) == name for value, name in names.items()) and set(votes) <= set(own):
        names = own
    if not names or set(votes) - set(names) or len(set(names.values())) < len(names):
        return None
    return Legend(by_colour=False, names=names, background=frozenset({0}))


def _overlap(one: Corners, other: Corners) -> float:
    """Intersection over union."""
    a, b = np.array(one), np.array(other)
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(sides.clip(0).prod())
    return shared / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)
