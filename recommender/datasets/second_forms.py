"""Two forms of labels for the same images, such as YOLO's beside COCO's: told where they disagree."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from recommender.datasets.coco import read_coco
from recommender.datasets.coco_files import find_coco
from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.formats import find_format
from recommender.datasets.raw import RawImage, RawSet
from recommender.errors import DatasetError

MAX_IMAGES = 5000  # of larger sets a second reading would take long
DIFFERING = 0.2  # of the images; converters leave out crowds and the like


def tell_second_form(raw: RawSet, root: Path, disk: Disk, log: DefectLog) -> None:
    """Tell where labels of another form beside those that were read give the same images other objects."""
    if len(raw.images) > MAX_IMAGES:
        return
    with suppress(DatasetError):  # what was read is sound, whatever lies beside it
        second = _second(raw, root, disk)
        if second is None:
            return
        named = not any(all(map(str.isdigit, each.class_names)) for each in (raw, second))
        own = {image.path: _classes(image, raw, named) for image in raw.images if image.labelled}
        pairs = [
            (own[image.path], _classes(image, second, named)) for image in second.images if image.path in own
        ]
        differing = [pair for pair in pairs if pair[0] != pair[1]]
        if len(differing) > DIFFERING * len(pairs):
            log.add(
                "labels_differ",
                second.format,
                f"{len(differing)} of {len(pairs)} images",
                count=len(differing),
            )


def _second(raw: RawSet, root: Path, disk: Disk) -> RawSet | None:
    """The set as other files of annotations have it, tables aside; None where there are none."""
    if raw.format != "coco" and (files := find_coco(root, disk)):
        return read_coco(files, root, disk, DefectLog(), raw.name)
    found = find_format(list(disk.walk(root)), disk, among=lambda row: row.read is not None and not row.notes)
    return found[0].read(found[1], root, disk, DefectLog(), raw.name) if found and found[0].read else None


def _classes(image: RawImage, raw: RawSet, named: bool) -> list[str]:
    """The classes of an image's objects from left to right; where they are not `named`, as many empty texts."""
    order = np.argsort(image.corners_M4[:, 0] + image.corners_M4[:, 2], kind="stable")
    return [raw.class_names[number].casefold() if named else "" for number in image.classes_M[order].tolist()]
