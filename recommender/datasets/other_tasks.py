"""Data sets of other tasks, told by the shape of their rows or by their folders.

A row of 9 columns is a polygon of four points or a rotated box. It counts as a rotated box where the
data set says so by name, or where every long row is a parallelogram and many of them are tilted:
hand-drawn polygons are none, and upright ones lose nothing by becoming boxes.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from recommender.datasets.class_folders import find_class_tree
from recommender.datasets.disk import ARCHIVE_SUFFIXES, CACHE_SUFFIXES, UNREAD_IMAGES, Disk
from recommender.datasets.label_files import is_other_text
from recommender.datasets.labels import RowShapes
from recommender.datasets.raw import Float64Array
from recommender.errors import DatasetError, WrongTaskError
from recommender.text import counted, printable

REMEDY = "Give rows of `class x y w h` for object detection, or polygons for instance segmentation."
PARALLELOGRAM_TOLERANCE = 2e-3  # of the image's side
MIN_ROWS = 5
CITYSCAPES_MASK = re.compile(r"_gt(Fine|Coarse)_(label|instance)(Train)?Ids$")
ANNOTATIONS = (".json", ".xml", ".jsonl", ".ndjson", ".csv", ".tsv")
MAYBE_LABELS = (ANNOTATIONS, (".txt",), tuple(CACHE_SUFFIXES))  # the likeliest first
PACKED = (".gz", ".bz2", ".xz", ".zip")
BRUSH_EXPORT = re.compile(r"task-\d+-annotation-\d+-by-")
# Drawn at random, at most half of polygons have their first corner among the others, an eighth their second far away,
# and small ones reach a quarter as far as the box would; rows of keypoints pass one of the three.
AMONG, SIZE_FAR, SPREAD = 0.6, 0.25, 0.65
LOOSE = 1.8  # how many half sides of its box a keypoint may lie from the centre


def refuse_other_label_tasks(shapes: RowShapes, hint: str) -> None:
    """Raise WrongTaskError for pose and oriented boxes; `hint` holds names of the folder and the yaml."""
    total = sum(shapes.columns.values())
    if not total or not shapes.sample:
        return
    long_rows = Counter({columns: count for columns, count in shapes.columns.items() if columns > 6})
    columns, count = long_rows.most_common(1)[0]
    if count < 0.95 * long_rows.total():
        return  # of many lengths: polygons
    rows_MK = np.array([row for row in shapes.sample if len(row) == columns])
    named = re.search(r"(^|[^a-z])(obb|dota)", hint.lower()) is not None
    if columns == 9 and count >= 0.95 * total and (named or _mostly_tilted(rows_MK[:, 1:])):
        raise WrongTaskError(
            "The labels hold four corners a row, tilted: oriented boxes (OBB), which are not served.",
            remedy=REMEDY,
        )
    if columns >= 7 and len(rows_MK) >= MIN_ROWS and _keypoints(rows_MK):
        raise WrongTaskError(
            "The labels hold keypoints after each box: pose, which is not served.", remedy=REMEDY
        )


def _mostly_tilted(points_M8: Float64Array) -> bool:
    """True if all rows are parallelograms and a fifth of them stand askew."""
    if len(points_M8) < MIN_ROWS:
        return False
    points_M42 = points_M8.reshape(-1, 4, 2)
    gap_M = np.abs(points_M42[:, 0] + points_M42[:, 2] - points_M42[:, 1] - points_M42[:, 3]).max(axis=1)
    sides_M22 = np.abs(points_M42[:, 1:3] - points_M42[:, 0:2])
    diagonals_M22 = np.abs(points_M42[:, 2:] - points_M42[:, :2])
    # An upright box, or its edge centres joined to a diamond, is how outlines are made from boxes.
    lines_M42 = np.concatenate([sides_M22, diagonals_M22], axis=1)
    tilted_M = (lines_M42.min(axis=2) > PARALLELOGRAM_TOLERANCE).all(axis=1)
    return bool((gap_M < PARALLELOGRAM_TOLERANCE).mean() > 0.95 and tilted_M.mean() > 0.2)


def _keypoints(rows_MK: Float64Array) -> bool:
    """True if rows are a box followed by its keypoints, with or without a visibility each.

    A point at the origin, or with a negative coordinate, is absent. A polygon's first vertex lies on its edge, a
    box's centre among its keypoints; its second vertex is as near to the first as the others are, and, read as a size,
    seldom gives a box within the image.
    """
    boxes_M4, rest_MK = rows_MK[:, 1:5], rows_MK[:, 5:]
    if rest_MK.shape[1] % 3 == 0 and bool(np.isin(rest_MK[:, 2::3], (-1, 0, 1, 2)).all()):
        return True
    if rest_MK.shape[1] % 2 or rest_MK.shape[1] < 2:
        return False
    points_MP2 = rest_MK.reshape(len(rest_MK), -1, 2)
    absent_MP = (points_MP2 == 0).all(axis=2) | (points_MP2 < 0).any(axis=2)
    centre_M12, half_M12 = boxes_M4[:, None, :2], boxes_M4[:, None, 2:] / 2
    apart_MP2 = np.where(absent_MP[:, :, None], 0.0, np.abs(points_MP2 - centre_M12))
    inside_M = (np.abs(boxes_M4[:, :2] - 0.5) + boxes_M4[:, 2:] / 2 <= 0.5 + 0.01).all(axis=1)
    low_M2 = np.where(absent_MP[:, :, None], np.inf, points_MP2).min(axis=1)
    high_M2 = np.where(absent_MP[:, :, None], -np.inf, points_MP2).max(axis=1)
    among_M = ((low_M2 <= boxes_M4[:, :2]) & (boxes_M4[:, :2] <= high_M2)).all(axis=1)
    if among_M.mean() < AMONG and _small_polygons(boxes_M4, apart_MP2):
        return False
    tight_M = (apart_MP2 <= half_M12 + 0.01).all(axis=(1, 2))
    if bool((tight_M & inside_M).mean() > 0.95):
        return True
    # Corners and other marks may lie a little outside: then the centre must lie amid them.
    loose_M = (apart_MP2 <= half_M12 * LOOSE + 0.01).all(axis=(1, 2))
    margin_M2 = np.where(np.isfinite(high_M2 - low_M2), 0.25 * (high_M2 - low_M2), 0.0)
    amid_M = ((low_M2 + margin_M2 <= boxes_M4[:, :2]) & (boxes_M4[:, :2] <= high_M2 - margin_M2)).all(axis=1)
    rows_M = loose_M & inside_M & (amid_M | absent_MP.all(axis=1))
    return bool(rows_M.mean() > 0.95)


def _small_polygons(boxes_M4: Float64Array, apart_MP2: Float64Array) -> bool:
    """True if rows that may be a box and its keypoints, `apart_MP2` from its centre, are rather small polygons.

    All their corners are near the first one: the second, too, which would be the box's size.
    """
    far_M = np.abs(boxes_M4[:, 2:] - boxes_M4[:, :2]).max(axis=1) > 3 * apart_MP2.max(axis=(1, 2))
    spread_M = (apart_MP2 / np.maximum(boxes_M4[:, None, 2:] / 2, 1e-9)).max(axis=(1, 2))
    return bool(far_M.mean() < SIZE_FAR and np.median(spread_M) < SPREAD)


def holds_packed_annotations(path: Path) -> bool:
    """True of annotations packed by themselves: `instances.json.gz`."""
    return path.suffix.lower() in PACKED and Path(path.stem).suffix.lower() in ANNOTATIONS


def error_without_labels(root: Path, disk: Disk) -> DatasetError:
    """The error for a folder that has no boxes in any format read here."""
    paths = list(disk.images(root))
    named = printable(root.name)
    if not paths:
        other = next((path for path in disk.walk(root) if path.suffix.lower() in UNREAD_IMAGES), None)
        if other is not None:
            return DatasetError(
                f"{named} holds pictures such as {printable(disk.name(other))}, which are not read.",
                remedy="Convert them to PNG.",
            )
        packed = [path.name for path in disk.walk(root) if path.suffix.lower() in ARCHIVE_SUFFIXES]
        remedy = (
            "Give a folder with images (called .jpg, .png or the like), data.yaml, COCO JSON, VOC tree or an "
        )
        remedy += "archive of one."
        if packed:
            remedy = f"Unpack {printable(packed[0])}: archives within folders and archives are not opened."
        return DatasetError(f"{named} holds no image.", remedy=remedy)
    if any(BRUSH_EXPORT.match(path.name) for path in paths):
        return DatasetError(
            f"{named} holds Label Studio's brush masks as PNG, which do not say what picture they are of.",
            remedy="Export as JSON or COCO.",
        )
    if any(CITYSCAPES_MASK.search(path.stem) for path in paths):
        return DatasetError(
            f"{named} holds Cityscapes' masks of label and instance ids, which are not read.",
            remedy="Export as COCO (cityscapesscripts' instances of the eight classes that have some).",
        )
    for path in disk.walk(root):
        if holds_packed_annotations(path):
            return DatasetError(
                f"{named} holds {counted(len(paths), 'image')}, and {printable(disk.name(path))} is packed.",
                remedy="Unpack it: annotations are not read from packed files beside images.",
            )
    tree = find_class_tree(root, disk)
    if tree is not None and tree.are_pieces:
        return DatasetError(
            f"{named} holds {counted(len(paths), 'image')} and no labels that are read; its folders "
            f"({printable(', '.join(tree.class_names[:3]))}, …) are called after parts of a set.",
            remedy="Put the labels beside them; or, where the folders are the classes, add --task classify.",
        )
    unknown = (path for kinds in MAYBE_LABELS for path in disk.walk(root) if path.suffix.lower() in kinds)
    other = next((path for path in unknown if not is_other_text(path.name.lower())), None)
    remedy = (
        "Put YOLO label files, a COCO JSON, VOC files or a folder `masks` with them, or the images of each class in "
        "its folder, two classes at least."
    )
    return DatasetError(
        f"{named} holds {counted(len(paths), 'image')} and no labels that are read."
        + (f" Of {printable(disk.name(other))} the form is not known." if other else ""),
        remedy=f"Export as COCO or YOLO. Or: {remedy}" if other else remedy,
    )
