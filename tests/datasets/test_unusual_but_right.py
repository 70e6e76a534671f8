"""Honest data sets that resemble a fault: each is read whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.records import Dataset
from tests.datagen import make_dataset
from tests.datasets.helpers import kinds

Rows = Callable[[int], list[list[float]]]


def yolo(folder: Path, names: str, rows_of: Rows) -> Dataset:
    """A data set of 24 images with the rows that `rows_of` gives for each number."""
    make_dataset(folder, images=24)
    for number, path in enumerate(sorted(folder.glob("labels/*/*.txt"))):
        path.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows_of(number)))
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\n{names}\n")
    return open_dataset(folder)


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (f"names: {[str(i) for i in range(10)]}", 10),
        (f"names: {[*map(str, range(10)), 'minus']}", 11),
        ("names: ['0', '1', '2', '3']", 4),
        ("names: {0: '0', 1: '1', 2: '2', 3: '3'}", 4),
        ("nc: 4", 4),
    ],
)
def test_names_that_are_numbers_count_from_0_though_the_last_is_unused(
    tmp_path: Path, names: str, count: int
) -> None:
    dataset = yolo(tmp_path / "set", names, lambda _: [[k, 0.5, 0.5, 0.2, 0.2] for k in range(count - 1)])
    assert len(dataset.class_names) == count
    assert sum(len(image.classes_M) for image in dataset.images) == 24 * (count - 1)


def close_up(number: int) -> list[list[float]]:
    rng = np.random.default_rng(number)
    return [[0, *rng.uniform(0.4, 0.6, 2).round(4).tolist(), *rng.uniform(0.65, 0.98, 2).round(4).tolist()]]


def from_the_left(number: int) -> list[list[float]]:
    return [[0, 0.05 if number % 5 == 0 else 0.4, 0.4, 0.2, 0.2]]


@pytest.mark.parametrize("rows_of", [close_up, from_the_left])
def test_boxes_a_little_beyond_the_edge_are_cut(tmp_path: Path, rows_of: Rows) -> None:
    dataset = yolo(tmp_path / "set", "names: [face]", rows_of)
    assert sum(len(image.classes_M) for image in dataset.images) == 24
    assert kinds(dataset)["label_clipped"] >= 4


@pytest.mark.parametrize("leaving", [4, 12])
def test_objects_that_leave_on_the_right_are_no_centres(tmp_path: Path, leaving: int) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    content = json.loads(path.read_text())
    width, height = content["images"][0]["width"], content["images"][0]["height"]
    for number, row in enumerate(content["annotations"]):
        left = 0.82 if number % 24 < leaving else 0.4
        row["bbox"] = [left * width, 0.4 * height, 0.25 * width, 0.2 * height]
        row.pop("segmentation", None)
    path.write_text(json.dumps(content))
    dataset = open_dataset(path)
    assert sum(len(image.classes_M) for image in dataset.images) == len(content["annotations"])


def labelme(folder: Path, num_rotated: int) -> Path:
    """Twelve images, the first with rotated boxes only."""
    source = make_dataset(folder.with_name("source"), images=24)
    folder.mkdir()
    for number, path in enumerate(sorted(source.glob("images/*/*.png"))[:12]):
        shutil.copy(path, folder)
        box = {"label": "cap", "shape_type": "rectangle", "points": [[2, 2], [9, 9]]}
        if number < num_rotated:
            box |= {"shape_type": "rotation", "points": [[2, 2], [9, 2], [9, 9], [2, 9]]}
        content = {"shapes": [box], "imagePath": path.name, "imageWidth": 64, "imageHeight": 64}
        (folder / f"{path.stem}.json").write_text(json.dumps(content))
    return folder


def test_one_rotated_box_among_upright_ones_is_left_out(tmp_path: Path) -> None:
    dataset = open_dataset(labelme(tmp_path / "mixed", 1))
    assert sum(len(image.classes_M) for image in dataset.images) == 11
    assert kinds(dataset)["label_no_box"] == 1


def test_lists_beside_everything_win_over_those_beside_the_annotations(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    shutil.rmtree(folder / "ImageSets")
    stems = sorted(path.stem for path in (folder / "Annotations").glob("*.xml"))
    (folder / "train.txt").write_text("\n".join(stems[:18]))
    (folder / "val.txt").write_text("\n".join(stems[18:]))
    expected = open_dataset(folder).content_hash
    (folder / "Annotations" / "trainval.txt").write_text("\n".join(stems[8:]))
    (folder / "Annotations" / "test.txt").write_text("\n".join(stems[:8]))
    assert open_dataset(folder).content_hash == expected
