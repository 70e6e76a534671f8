"""Masks whose names tell the image and the object in other ways than IMAGE_CLASS.png."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from recommender.records import Dataset
from tests.datagen import draw_images
from tests.datasets.helpers import kinds


def masked(root: Path, image: str, mask: str, count: int = 8) -> list[int]:
    """Pictures and masks, one an object where `mask` numbers them by {k}; returns the numbers of objects."""
    made = draw_images(count, ("a", "b"), boxes=2)
    for number, drawn in enumerate(made):
        path = root / image.format(n=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.image.save(path)
        whole = Image.new("L", drawn.image.size)
        for k, (_, x1, y1, x2, y2) in enumerate(drawn.boxes):
            single = "{k}" in mask
            own = Image.new("L", drawn.image.size) if single else whole
            own.paste(255, (int(x1), int(y1), int(x2), int(y2)))
            place = root / mask.format(n=number, k=k)
            place.parent.mkdir(parents=True, exist_ok=True)
            own.save(place)
    return [len(drawn.boxes) for drawn in made]


def objects(dataset: Dataset) -> list[int]:
    return [len(image.classes_M) for image in sorted(dataset.images, key=lambda image: image.path.stem)]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("cell_{n}/images/cell_{n}.png", "cell_{n}/masks/m{k}_cell_{n}.png"),
        ("cell_{n}/images/cell_{n}.png", "cell_{n}/masks/{k}_cell_{n}.png"),
        ("images/cell_{n}.png", "masks/obj{k}_cell_{n}.png"),
        ("images/cell_{n}.png", "masks/mask_{k}_cell_{n}.png"),
    ],
)
def test_a_number_before_the_name_of_the_image_numbers_objects(tmp_path: Path, image: str, mask: str) -> None:
    numbers = masked(tmp_path, image, mask)
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ("object",)
    assert objects(dataset) == numbers


@pytest.mark.parametrize(
    ("image", "mask", "name"),
    [
        ("case_{n}/image.png", "case_{n}/mask_{k}.png", "object"),
        ("{n:03}/{n:03}.png", "{n:03}/mask_{k}.png", "object"),
        ("case_{n}/image.png", "case_{n}/mask_leaf_{k}.png", "leaf"),
    ],
)
def test_a_folder_may_hold_one_image_and_its_masks(tmp_path: Path, image: str, mask: str, name: str) -> None:
    numbers = masked(tmp_path, image, mask)
    dataset = open_dataset(tmp_path)
    assert (dataset.task, dataset.class_names) == ("segment", (name,))
    by_name = sorted(dataset.images, key=lambda each: each.path)
    assert [len(each.classes_M) for each in by_name] == numbers


@pytest.mark.parametrize("mask", ["mask", "label", "gt", "segmentation"])
def test_the_mask_of_the_one_image_may_be_called_as_masks_are(tmp_path: Path, mask: str) -> None:
    masked(tmp_path, "case_{n}/image.png", f"case_{{n}}/{mask}.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.task, len(dataset.images)) == ("segment", 8)


def test_a_word_before_the_name_of_the_image_is_the_class(tmp_path: Path) -> None:
    masked(tmp_path, "images/{n}0.png", "masks/leaf_{n}0.png")
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ("leaf",)
    assert len(dataset.images) == 8


@pytest.mark.parametrize(
    ("image", "mask", "told"),
    [
        ("images/img_{n:03}.png", "masks/mask_{n:03}.png", True),
        ("train/images/{n}_photo.png", "train/masks/{n}_truth.png", True),
        ("images/{n:03}.png", "masks/mask_{n:03}.png", False),
        ("train/p{n}.png", "train/p{n}_segmentation.png", False),
    ],
)
def test_masks_are_paired_by_what_names_keep_without_a_word(
    tmp_path: Path, image: str, mask: str, told: bool
) -> None:
    masked(tmp_path, image, mask)
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ("object",)
    assert len(dataset.images) == 8
    assert kinds(dataset).get("mask_by_number", 0) == 8 * told


def test_masks_numbered_otherwise_than_images_are_not_paired(tmp_path: Path) -> None:
    masked(tmp_path, "images/img_{n}.png", "masks/mask_{n}.png")
    (tmp_path / "masks" / "mask_0.png").rename(tmp_path / "masks" / "mask_8.png")
    with pytest.raises(DatasetError, match="no labels that are read"):
        open_dataset(tmp_path)
