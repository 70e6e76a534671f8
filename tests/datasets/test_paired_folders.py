"""Folders that look like those of classes and hold parts or versions of the same pictures, or several data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from tests.datasets.helpers import kinds

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


def of_a_person(kind: str, number: int) -> Image.Image:
    """One of five pictures in a row of the same person, who stands elsewhere in each."""
    image = picture(number // 5)
    own = 1000 * len(kind) + number
    image.paste(picture(own).resize((12, 12)), (own * 7 % 36, own * 11 % 36))
    return image


def drawing(kind: str, number: int) -> Image.Image:
    """A square in a colour of its own upon another, or a photo."""
    if kind == "photo":
        noise = np.random.default_rng(number).integers(0, 256, (48, 48, 3), np.uint8)
        return Image.fromarray(noise)
    image = Image.new("RGB", (48, 48), (number * 9, 200 - number * 5, 70))
    image.paste((250 - number * 3, number * 7, 30), (10, 10, 30, 30))
    return image


def blank(kind: str, number: int) -> Image.Image:
    return Image.new("L", (48, 48), 200) if kind == "empty" else drawing("photo", number)


def with_sign(kind: str, number: int) -> Image.Image:
    """A photo, or a sign of two values that is of another size than the photo of its number."""
    return drawing(kind, number) if kind == "photo" else VERSIONS["mask"](number).resize((36, 36))


@pytest.mark.parametrize(
    ("kinds_of", "make"),
    [
        (("paper", "rock", "scissors"), of_a_person),
        (("drawing", "photo"), drawing),
        (("empty", "full"), blank),
        (("photo", "sign"), with_sign),
    ],
)
def test_classes_may_be_taken_of_the_same_persons_or_hold_few_colours(
    tmp_path: Path, kinds_of: tuple[str, ...], make: Callable[[str, int], Image.Image]
) -> None:
    for number in range(20):
        for kind in kinds_of:
            save(make(kind, number), tmp_path / kind / f"img_{number:03}.png")
    assert open_dataset(tmp_path).class_names == kinds_of


@pytest.mark.parametrize(("num_classes", "num_names"), [(2, 8), (8, 6), (2, 3)])
def test_files_of_classes_may_be_named_alike_by_words(
    tmp_path: Path, num_classes: int, num_names: int
) -> None:
    """As letters in fonts are: `A/Arial.png`, `B/Arial.png`."""
    classes = tuple("abcdefgh"[:num_classes])
    for number, name in enumerate(classes):
        for font in range(num_names):
            save(picture(10 * number + font), tmp_path / name / f"font {'ijklmnop'[font]}.png")
    assert open_dataset(tmp_path).class_names == classes


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


PIECES = [
    ("cam1", "cam2"),
    ("lot_part_1", "lot_part_2"),
    ("Video 1", "Video 12"),
    ("2024-05-01", "2024-05-02"),
    ("20240501_0930", "20240502_1010"),
    ("labeled", "unlabeled"),
]


@pytest.mark.parametrize("names", PIECES)
def test_folders_called_after_parts_of_a_set_are_no_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    for number in range(NUM_PICTURES):
        save(picture(number), tmp_path / names[number % 2] / f"p{number}.png")
    with pytest.raises(DatasetError, match=r"are called after parts of a set.*--task classify"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, task="classify").class_names == tuple(sorted(names))
    rows = "".join(f"p{number},{('nv', 'mel', 'bkl')[number % 3]}\n" for number in range(NUM_PICTURES))
    (tmp_path / "metadata.csv").write_text("image_id,dx\n" + rows)
    for task in (None, "classify"):
        assert open_dataset(tmp_path, task=task).class_names == ("bkl", "mel", "nv")
    boxes = "".join(f"p{number}.png,48,48,car,4,5,{20 + number},40\n" for number in range(NUM_PICTURES))
    (tmp_path / "metadata.csv").write_text("filename,width,height,class,xmin,ymin,xmax,ymax\n" + boxes)
    assert open_dataset(tmp_path).class_names == ("car",)


@pytest.mark.parametrize(
    "names", [("c0", "c1"), ("person_1", "person_2"), ("class 1", "class 2"), ("part_1", "cat")]
)
def test_classes_may_be_numbered(tmp_path: Path, names: tuple[str, str]) -> None:
    for number in range(NUM_PICTURES):
        save(picture(number), tmp_path / names[number % 2] / f"p{number}.png")
    assert open_dataset(tmp_path).class_names == tuple(sorted(names))


@pytest.mark.parametrize("inner", ["", "data"])
def test_a_few_pictures_of_a_repository_are_no_class(tmp_path: Path, inner: str) -> None:
    for number in range(2 * NUM_PICTURES):
        save(picture(number), tmp_path / inner / ("cat", "dog")[number % 2] / f"p{number}.png")
    save(picture(100), tmp_path / "docs" / "logo.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.class_names, len(dataset.images)) == (("cat", "dog"), 2 * NUM_PICTURES)
    assert kinds(dataset) == ({} if inner else {"image_unclassified": 1})


def test_a_class_may_be_called_as_folders_of_a_repository(tmp_path: Path) -> None:
    for number in range(NUM_PICTURES):
        save(picture(number), tmp_path / ("docs", "plots")[number % 2] / f"p{number}.png")
    assert open_dataset(tmp_path).class_names == ("docs", "plots")


@pytest.mark.parametrize("junk", ["@eaDir", "$RECYCLE.BIN", "$Recycle.Bin", "lost+found"])
def test_folders_of_systems_hold_no_images(tmp_path: Path, junk: str) -> None:
    for number in range(NUM_PICTURES):
        save(picture(number), tmp_path / ("cat", "dog")[number % 2] / f"p{number}.png")
        save(picture(number + 50), tmp_path / junk / f"p{number}.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.class_names, len(dataset.images)) == (("cat", "dog"), NUM_PICTURES)


@pytest.mark.parametrize("masks", ["benign_{n}_mask.png", "masks/benign_{n}.png"])
def test_folders_of_masks_that_may_be_classes_are_told(tmp_path: Path, masks: str) -> None:
    """As ultrasound and chest X-ray sets are published: images and masks within the folder of each class."""
    for number in range(2 * NUM_PICTURES):
        place, name = tmp_path / ("benign", "malign")[number % 2], f"benign_{number}.png"
        save(picture(number), place / ("images" if "/" in masks else "") / name)
        save(VERSIONS["mask"](number), place / masks.format(n=number))
    dataset = open_dataset(tmp_path)
    assert (dataset.task, dataset.class_names) == ("segment", ("object",))
    assert "benign, malign" in next(
        each.examples[0] for each in dataset.defects if each.kind == "folders_beside"
    )
    assert "folders_beside" not in kinds(open_dataset(tmp_path, task="segment"))
    assert open_dataset(tmp_path / "benign").class_names == ("object",)
    assert "folders_beside" not in kinds(open_dataset(tmp_path / "benign"))


def test_the_same_folders_again_are_no_class(tmp_path: Path) -> None:
    """As an archive leaves them that holds its own folder twice."""
    for number in range(NUM_PICTURES):
        for folder in (tmp_path, tmp_path / "tumors"):
            save(picture(number), folder / ("no", "yes")[number % 2] / f"{number}.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.class_names, len(dataset.images)) == (("no", "yes"), NUM_PICTURES)
    assert kinds(dataset) == {"image_unclassified": NUM_PICTURES}
