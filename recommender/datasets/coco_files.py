"""The COCO annotation files of a folder, with their splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recommender.datasets.disk import Disk
from recommender.datasets.json_text import load_json
from recommender.datasets.split_names import (
    ANNOTATION_FOLDERS,
    split_of_file,
    split_of_words,
    without_split_words,
)
from recommender.errors import DatasetError, WrongTaskError
from recommender.records import Split
from recommender.text import printable

MAX_FILES = 64  # JSON files looked into; LabelMe and its kind have one for each image
REMEDY = (
    "Give annotations with `bbox` for object detection, or with `segmentation` for instance segmentation; of "
    "classified images folders by class (read with --task classify), or a CSV of file and label."
)


class ResultsError(WrongTaskError):
    """A file of predictions where annotations are wanted."""


@dataclass(frozen=True, kw_only=True)
class CocoFile:
    """One parsed JSON and the split it stands for."""

    path: Path
    split: Split | None
    images: list[Any]
    annotations: list[Any]
    categories: list[Any]


def find_coco(root: Path, disk: Disk) -> list[CocoFile]:
    """The COCO files below a folder, at most one a split, less a detector's results; empty when there is none."""
    paths = [path for path in disk.walk(root) if path.suffix.lower() == ".json"]
    if len(paths) > MAX_FILES:
        paths = [path for path in paths if _is_named_like_coco(path)][:MAX_FILES]
    if instances := [path for path in paths if "instances" in path.name.lower()]:
        paths = instances
    files: list[CocoFile] = []
    refused: DatasetError | None = None
    for path in paths:
        try:
            file = load_coco(path, root, disk)
        except ResultsError:
            continue  # predictions kept beside the labels
        except WrongTaskError as error:  # captions and keypoints lie beside COCO's boxes
            refused = error
        except DatasetError:
            if _is_named_like_coco(path):  # half of the boxes must not vanish with a damaged file
                raise
        else:
            files += [file] if file is not None else []
    if not files and refused is not None:
        raise refused
    return _one_a_split(files)


def refuse_results(root: Path, disk: Disk) -> None:
    """Raise WrongTaskError where a folder without labels holds a detector's results."""
    paths = [path for path in disk.walk(root) if path.suffix.lower() == ".json"]
    for path in paths[:MAX_FILES]:
        try:
            load_coco(path, root, disk)
        except ResultsError:
            raise
        except DatasetError:
            continue


def siblings_of(path: Path, disk: Disk) -> list[CocoFile]:
    """The JSON given, and where its name speaks of a split, the files beside it of the other splits."""
    root = root_of(path)
    file = load_coco(path, root, disk)
    if file is None:
        raise DatasetError(
            f"{printable(path.name)} is no COCO annotation file.",
            remedy="It needs the lists `images`, `annotations` and `categories`.",
        )
    files = [file]
    if file.split is not None and split_of_words(path.stem) is not None:
        for name in disk.listing(path.parent).files:
            other = path.parent / name
            related = other.suffix.lower() == path.suffix.lower() and without_split_words(
                other.stem
            ) == without_split_words(path.stem)
            if related and split_of_words(other.stem) not in (None, file.split):
                files += [found for found in [load_coco(other, root, disk)] if found is not None]
    return _one_a_split(files)


def root_of(path: Path) -> Path:
    """The data set's folder, given its JSON: the file's own, or the one above `annotations`."""
    return path.parent.parent if path.parent.name.lower() in ANNOTATION_FOLDERS else path.parent


def load_coco(path: Path, root: Path, disk: Disk) -> CocoFile | None:
    """Parse one file; None when it is JSON of another kind. Raises WrongTaskError, DatasetError."""
    named = printable(disk.name(path))
    content = load_json(path, disk)
    if _are_results(content):
        raise ResultsError(f"{named} holds a detector's results, not annotations.", remedy=REMEDY)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return None
    if not isinstance(content.get("annotations"), list):
        return None
    annotations = content["annotations"]
    _refuse_other_tasks(annotations, named)
    categories = content.get("categories")
    return CocoFile(
        path=path,
        split=split_of_file(path, root),
        images=content["images"],
        annotations=annotations,
        categories=categories if isinstance(categories, list) else [],
    )


def _are_results(content: Any) -> bool:
    """True for COCO's list of results, and for a document of which most annotations have such scores."""
    if isinstance(content, list):
        return bool(content) and isinstance(content[0], dict) and "score" in content[0]
    rows = content.get("annotations") if isinstance(content, dict) else None
    scores = [row.get("score") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    numbers = [score for score in scores if isinstance(score, int | float) and not isinstance(score, bool)]
    return 2 * len(numbers) > len(scores) and min(numbers) < 1  # 1 for each is written by hand


def _is_named_like_coco(path: Path) -> bool:
    name = path.name.lower()
    words = ("coco", "instances", "annotations")
    return (
        any(word in name for word in words)
        or split_of_words(path.stem) is not None
        or path.parent.name.lower() == "annotations"
    )


def _one_a_split(files: list[CocoFile]) -> list[CocoFile]:
    named = [file for file in files if file.split is not None]
    others = [file for file in files if file.split is None]
    if named and len(others) == 1 and all(file.split != "train" for file in named):
        named.append(replace(others.pop(), split="train"))  # annotations.json beside annotations_val.json
    listed = {name for file in named for name in _names_in(file)}
    untold = [
        file for file in others if not named or not _names_in(file) <= listed
    ]  # else: the whole, undivided
    chosen = named + untold
    counts = Counter(file.split for file in chosen)
    if any(count > 1 for count in counts.values()) or (named and untold):
        shown = ", ".join(printable(file.path.name) for file in chosen[:6])
        raise DatasetError(
            f"Several COCO files, and their names do not tell which is for which split: {shown}.",
            remedy="Call them train.json, val.json and test.json, or give one JSON.",
        )
    return chosen


def _names_in(file: CocoFile) -> set[str]:
    return {str(row.get("file_name")) for row in file.images if isinstance(row, dict)}


def _refuse_other_tasks(annotations: list[Any], named: str) -> None:
    rows = [row for row in annotations if isinstance(row, dict)]
    if not rows:
        return

    def most(key: str) -> bool:
        return sum(bool(row.get(key)) for row in rows) > len(rows) / 2

    task = None
    if most("keypoints"):
        task = "pose (keypoints)"
    elif most("segments_info"):
        task = "panoptic segmentation"
    elif not any("bbox" in row or "segmentation" in row for row in rows):
        task = "captioning" if most("caption") else "classification"
    elif all(isinstance(row.get("bbox"), list) and len(row["bbox"]) in (5, 8) for row in rows):
        task = "oriented boxes (OBB)"
    if task is not None:
        raise WrongTaskError(f"{named} holds annotations for {task}, which are not read.", remedy=REMEDY)
