"""Data sets of other tasks are recognised and refused by name; detection sets like them are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, WrongTaskError
from tests.datagen import make_dataset
from tests.datasets.helpers import yolo_set

Row = Callable[[np.random.Generator], list[float]]


def relabel(folder: Path, row: Row, rows: int = 2) -> Path:
    rng = np.random.default_rng(0)
    for path in sorted((folder / "labels").rglob("*.txt")):
        texts = (" ".join(f"{value:.6f}" for value in row(rng)) for _ in range(rows))
        path.write_text("".join(f"0 {text}\n" for text in texts))
    return folder


def box(rng: np.random.Generator) -> list[float]:
    return [*rng.uniform(0.4, 0.6, 2), *rng.uniform(0.2, 0.4, 2)]


def rotated(rng: np.random.Generator) -> list[float]:
    x, y, w, h = box(rng)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 @ turn.T * [80 / 96, 1] + [x, y]
    return [float(value) for value in corners.flatten()]


def keypoints(count: int, visibility: bool) -> Row:
    def row(rng: np.random.Generator) -> list[float]:
        x, y, w, h = box(rng)
        points: list[float] = []
        for _ in range(count):
            points += [x + w * rng.uniform(-0.5, 0.5), y + h * rng.uniform(-0.5, 0.5)]
            points += [float(rng.integers(0, 3))] if visibility else []
        return [x, y, w, h, *points]

    return row


def polygon(points: int) -> Row:
    def row(rng: np.random.Generator) -> list[float]:
        angles = np.sort(rng.uniform(0, 2 * np.pi, points))
        radius = rng.uniform(0.1, 0.3, points)
        x, y = 0.5 + radius * np.cos(angles), 0.5 + radius * np.sin(angles)
        return [float(value) for value in np.stack([x, y], axis=1).flatten()]

    return row


def upright(rng: np.random.Generator) -> list[float]:
    x, y, w, h = box(rng)
    return [x - w / 2, y - h / 2, x + w / 2, y - h / 2, x + w / 2, y + h / 2, x - w / 2, y + h / 2]


@pytest.mark.parametrize(
    ("row", "task"),
    [
        (rotated, "OBB"),
        (keypoints(17, True), "pose"),
        (keypoints(4, True), "pose"),
        (keypoints(1, True), "pose"),
        (keypoints(5, False), "pose"),
        (keypoints(1, False), "pose"),
    ],
)
def test_label_rows_of_other_tasks(tmp_path: Path, row: Row, task: str) -> None:
    with pytest.raises(WrongTaskError, match=task):
        open_dataset(relabel(yolo_set(tmp_path), row))


@pytest.mark.parametrize("points", [3, 4, 5, 8, 20])
def test_polygons_are_none_of_them(tmp_path: Path, points: int) -> None:
    assert len(open_dataset(relabel(yolo_set(tmp_path), polygon(points))).images) == 12


@pytest.mark.parametrize("points", [3, 4, 5, 6])
@pytest.mark.parametrize("side", [0.01, 0.05])
def test_small_polygons_of_equal_length_are_no_keypoints(tmp_path: Path, points: int, side: float) -> None:
    """Number plates by their corners: read as a box, each polygon's first corner lies near all the others."""

    def row(rng: np.random.Generator) -> list[float]:
        corners_P2 = np.array(polygon(points)(rng)).reshape(-1, 2)
        return [float(value) for value in (0.5 + side * (corners_P2 - rng.uniform(-1, 2, 2))).flatten()]

    assert open_dataset(relabel(yolo_set(tmp_path), row)).task == "segment"


def test_four_upright_corners_are_boxes_unless_the_name_says_otherwise(tmp_path: Path) -> None:
    folder = relabel(yolo_set(tmp_path / "signs"), upright)
    assert len(open_dataset(folder).images) == 12
    with pytest.raises(WrongTaskError, match="OBB"):
        open_dataset(folder.rename(tmp_path / "ships-obb"))


def test_dota_rows(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, format="yolo_layout")
    for path in (folder / "labels").rglob("*.txt"):
        path.write_text("imagesource:GoogleEarth\ngsd:0.1\n" + "1 2 3 4 5 6 7 8 ship 0\n" * 4)
    with pytest.raises(WrongTaskError, match="DOTA"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("line", "task"),
    [
        ("kpt_shape: [17, 3]", "pose"),
        ("task: obb", "obb"),
        ("task: classify", "classify"),
        ("task: pose", "pose"),
    ],
)
def test_descriptions_of_other_tasks(tmp_path: Path, line: str, task: str) -> None:
    folder = yolo_set(tmp_path)
    (folder / "data.yaml").write_text((folder / "data.yaml").read_text() + line + "\n")
    with pytest.raises(WrongTaskError, match=task):
        open_dataset(folder)


def test_images_alone_and_labelme_of_other_images(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    for path in (folder / "labels").rglob("*.txt"):
        path.unlink()
    (folder / "data.yaml").unlink()
    with pytest.raises(DatasetError, match="12 images and no labels"):
        open_dataset(folder)
    (folder / "images" / "train" / "shape_0000.json").write_text(
        '{"version": "5", "shapes": [], "imagePath": "x"}'
    )
    with pytest.raises(
        DatasetError, match="image_missing 1"
    ):  # LabelMe is read, and names no image that is here
        open_dataset(folder)


@pytest.mark.parametrize("ids", ["labelIds", "instanceIds", "labelTrainIds"])
def test_masks_of_cityscapes_are_refused_by_name(tmp_path: Path, ids: str) -> None:
    place = Path("train/bremen/bremen_000000_000019")
    for file in (f"leftImg8bit/{place}_leftImg8bit.png", f"gtFine/{place}_gtFine_{ids}.png"):
        (tmp_path / file).parent.mkdir(parents=True)
        Image.fromarray(np.full((20, 40), 7, np.uint8)).save(tmp_path / file)
    with pytest.raises(DatasetError, match="Cityscapes' masks") as refusal:
        open_dataset(tmp_path)
    assert "Export as COCO" in str(refusal.value)
