"""Folders that look like those of classes and hold parts or versions of the same pictures, or several data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from recommender.datasets import open_dataset
from recommender.errors import DatasetError

NUM_PICTURES = 12


def picture(number: int) -> Image.Image:
    """A picture of large squares unlike that of any other number."""
    squares = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(squares).resize((48, 48), Image.Resampling.NEAREST)


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


VERSIONS: dict[str, Callable[[int], Image.Image]] = {
    "blurred": lambda number: picture(number).filter(ImageFilter.GaussianBlur(2)),
    "dark": lambda number: picture(number).point(lambda value: value // 3),
    "mask": lambda number: picture(number + 100).convert("L").point(lambda value: 255 * (value > 128)),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["{n}.png", "frame_{n:04}.png"])
@pytest.mark.parametrize("splits", [("train", "val"), ("", "")])
def test_versions_of_the_same_pictures_are_no_classes(
    tmp_path: Path, version: str, name: str, splits: tuple[str, str]
) -> None:
    for number in range(2 * NUM_PICTURES):
        place = tmp_path / splits[number % 2]
        save(picture(number), place / "one" / name.format(n=number))
        save(VERSIONS[version](number), place / "two" / name.format(n=number))
    with pytest.raises(DatasetError, match=r"one and .*two hold pictures of the same names.*--task classify"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, task="classify").class_names == ("one", "two")


def test_files_of_classes_may_be_counted_alike(tmp_path: Path) -> None:
    for number in range(NUM_PICTURES):
        save(picture(number), tmp_path / "one" / f"{number}.png")
        save(picture(number + 50), tmp_path / "two" / f"{number}.png")
    assert open_dataset(tmp_path).class_names == ("one", "two")


def test_a_folder_for_each_scene_is_no_class(tmp_path: Path) -> None:
    for number in range(NUM_PICTURES):
        save(picture(number), tmp_path / f"scene_{number}" / "rgb.png")
        save(picture(number + 50), tmp_path / f"scene_{number}" / "depth.png")
    with pytest.raises(DatasetError, match="scene_0 and scene_1 hold pictures of the same names"):
        open_dataset(tmp_path)


def test_splits_and_letters_in_one_word_are_no_classes(tmp_path: Path) -> None:
    for number, name in enumerate(("trainA", "trainB", "testA", "testB") * 4):
        save(picture(number), tmp_path / name / f"{number}.png")
    with pytest.raises(DatasetError, match="no labels that are read"):
        open_dataset(tmp_path)


def test_folders_of_classes_in_the_splits_of_several_sets_are_asked_about(tmp_path: Path) -> None:
    for number in range(NUM_PICTURES):
        split, kind = ("train", "val")[number % 2], number // 2 % 3
        save(picture(number), tmp_path / "cars" / split / f"car_{kind}" / f"{number}.png")
        save(picture(number + 50), tmp_path / "pets" / split / f"pet_{kind}" / f"{number}.png")
    with pytest.raises(DatasetError, match=r"hold folders in their splits \(car_0, car_1"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path / "pets").class_names == ("pet_0", "pet_1", "pet_2")
