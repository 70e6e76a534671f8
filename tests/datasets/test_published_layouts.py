"""Classified images as they are downloaded: their publisher's labels and splits are read, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, WrongTaskError
from recommender.records import Dataset
from recommender.tasks import Task
from tests.datagen import make_dataset
from tests.datasets.helpers import kinds
from tests.datasets.test_classification import COLOURS, counts, put

KINDS = ("bird", "cat", "dog")


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def photos(folder: Path, count: int) -> Iterator[tuple[str, Path]]:
    """So many of each class, called so, in the class's own folder below one."""
    for kind in KINDS:
        for number, path in enumerate(put(folder / kind, kind, count)):
            yield kind, path.rename(path.with_name(f"{kind}_{number}.png"))


def shown(path: Path) -> str:
    """The class that a picture of `put` shows, by its colour."""
    mean = np.asarray(Image.open(path)).mean(axis=(0, 1))
    return min(KINDS, key=lambda kind: float(np.abs(mean * 2.5 - 191 - np.array(COLOURS[kind])).sum()))


def flat(folder: Path, count: int) -> list[tuple[str, Path]]:
    return [(kind, path.rename(folder / path.name)) for kind, path in photos(folder, count)]


def tiny_imagenet(root: Path) -> None:
    for kind, path in list(photos(root / "train", 4)):
        target = root / "train" / kind / "images" / path.name
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
        write(root / "train" / kind / f"{kind}_boxes.txt", f"{path.name}\t0\t10\t63\t58")
    found = [
        (k, p.rename(p.with_name(f"val_{n}.png")))
        for n, (k, p) in enumerate(flat(root / "val" / "images", 2))
    ]
    write(root / "val" / "val_annotations.txt", *(f"{p.name}\t{kind}\t0\t32\t44\t62" for kind, p in found))
    put(root / "test" / "images", "bird", 1, 50)
    write(root / "wnids.txt", *KINDS)
    write(root / "words.txt", *(f"{kind}\t{kind}, animal" for kind in KINDS))


def cub(root: Path) -> None:
    found = list(photos(root / "images", 6))
    write(root / "images.txt", *(f"{n} {k}/{p.name}" for n, (k, p) in enumerate(found, 1)))
    write(
        root / "image_class_labels.txt", *(f"{n} {KINDS.index(k) + 1}" for n, (k, _) in enumerate(found, 1))
    )
    write(root / "train_test_split.txt", *(f"{n} {int(n % 3 > 0)}" for n in range(1, len(found) + 1)))
    write(root / "classes.txt", *(f"{n} {kind}" for n, kind in enumerate(KINDS, 1)))
    write(root / "bounding_boxes.txt", *(f"{n} 60.0 27.0 325.0 304.0" for n in range(1, len(found) + 1)))


def food(root: Path) -> None:
    found = [f"{kind}/{path.stem}" for kind, path in photos(root / "images", 6)]
    write(root / "meta" / "train.txt", *(line for n, line in enumerate(found, 1) if n % 3))
    write(root / "meta" / "test.txt", *found[2::3])
    write(root / "meta" / "labels.txt", *KINDS)


def scenes_of_mit(root: Path) -> None:
    found = [f"{kind}/{path.name}" for kind, path in photos(root / "Images", 6)]
    write(root / "TrainImages.txt", *(line for n, line in enumerate(found, 1) if n % 3))
    write(root / "TestImages.txt", *found[2::3])


def dtd(root: Path) -> None:
    """Ten divisions by number there, two here."""
    found = [f"{kind}/{path.name}" for kind, path in photos(root / "images", 6)]
    for fold in (1, 2):
        for number, split in enumerate(("train", "val", "test")):
            write(root / "labels" / f"{split}{fold}.txt", *found[(number + fold - 1) % 3 :: 3])
    write(root / "labels" / "labels_joint_anno.txt", *(f"{line} cat dog" for line in found))


def pets(root: Path) -> None:
    found = flat(root / "images", 6)
    rows = [f"{path.stem} {KINDS.index(kind) + 1} {1 + (kind == 'dog')} 1" for kind, path in found]
    write(root / "annotations" / "list.txt", "#Image CLASS-ID SPECIES BREED ID", *rows)
    write(root / "annotations" / "trainval.txt", *(row for n, row in enumerate(rows, 1) if n % 3))
    write(root / "annotations" / "test.txt", *rows[2::3])


def aircraft(root: Path) -> None:
    """The families alone: names with blanks behind the number of an image; trainval repeats train and val."""
    rows = [f"{path.stem} family {kind}" for kind, path in flat(root / "images", 6)]
    for number, split in enumerate(("train", "val", "test")):
        write(root / f"images_family_{split}.txt", *rows[number::3])
    write(root / "images_family_trainval.txt", *(row for n, row in enumerate(rows, 1) if n % 3))
    write(root / "families.txt", *(f"family {kind}" for kind in KINDS))


def images_below_splits(root: Path) -> None:
    for split, count in (("train", 4), ("val", 2)):
        list(photos(root / split / "images", count))


def sign_alphabet(root: Path) -> None:
    """Splits that long names differ in, each within a folder called alike."""
    list(photos(root / "sign_alphabet_train" / "sign_alphabet_train", 6))
    put(root / "sign_alphabet_test" / "sign_alphabet_test", "bird", 1, 50)


def one_hot_beside_measures(root: Path) -> None:
    """ISIC 2019, whose columns of flags look like boxes."""
    found = flat(root / "Training_Input", 6)
    rows = (
        f"{path.stem}," + ",".join(str(float(kind == each)) for each in KINDS) + ",0.0"
        for kind, path in found
    )
    write(root / "Training_GroundTruth.csv", f"image,{','.join(KINDS)},UNK", *rows)
    write(
        root / "Training_Metadata.csv", "image,age_approx,sex", *(f"{path.stem},55,male" for _, path in found)
    )


def of_splits(found: Dataset) -> dict[str, set[int]]:
    """For each split the numbers of images of a class."""
    numbers = counts(found)
    return {split: {numbers[split, name] for name in found.class_names} for split, _ in numbers}


@pytest.mark.parametrize(
    ("layout", "splits", "told"),
    [
        (tiny_imagenet, {"train": {4}, "val": {2}}, {"image_unclassified": 1}),
        (cub, {"train": {3}, "val": {1}, "test": {2}}, {}),
        (food, {"train": {3}, "val": {1}, "test": {2}}, {}),
        (scenes_of_mit, {"train": {3}, "val": {1}, "test": {2}}, {}),
        (dtd, {"train": {2}, "val": {2}, "test": {2}}, {"splits_first": 1}),
        (pets, {"train": {3}, "val": {1}, "test": {2}}, {}),
        (aircraft, {"train": {2}, "val": {2}, "test": {2}}, {}),
        (images_below_splits, {"train": {4}, "val": {2}}, {}),
        (sign_alphabet, {"train": {5}, "val": {1}}, {"image_unclassified": 1}),
        (one_hot_beside_measures, {"train": {5}, "val": {1}}, {}),
    ],
)
@pytest.mark.parametrize("task", [None, "classify"])
def test_labels_and_splits_are_those_of_the_publisher(
    tmp_path: Path,
    layout: Callable[[Path], None],
    splits: dict[str, set[int]],
    told: dict[str, int],
    task: Task | None,
) -> None:
    layout(tmp_path / "set")
    found = open_dataset(tmp_path, task=task)
    assert (found.task, of_splits(found), kinds(found)) == ("classify", splits, told)
    assert [name.removeprefix("family ") for name in found.class_names] == list(KINDS)
    assert all(shown(image.path) == KINDS[int(image.classes_M[0])] for image in found.images)


def test_lists_that_do_not_name_every_image_are_told(tmp_path: Path) -> None:
    food(tmp_path)
    write(tmp_path / "meta" / "test.txt", "bird/bird_2")
    assert kinds(open_dataset(tmp_path)) == {"splits_unused": 1}


def flowers(root: Path) -> None:
    flat(root / "jpg", 4)
    flat(root / "segmim", 4)
    (root / "imagelabels.mat").write_bytes(b"MATLAB 5.0 MAT-file")


def levels_of_aircraft(root: Path) -> None:
    aircraft(root)
    rows = (root / "images_family_train.txt").read_text().replace("family cat", "Airbus").splitlines()
    write(root / "images_manufacturer_train.txt", *rows)


def voc(root: Path) -> None:
    make_dataset(root, format="voc")
    stems = [path.stem for path in sorted((root / "Annotations").glob("*.xml"))]
    write(root / "ImageSets" / "Main" / "circle_train.txt", *(f"{stem}  1" for stem in stems))


def supervisely(root: Path) -> None:
    for folder in ("ds1", "ds2"):
        for kind, path in flat(root / folder / "img", 2):
            row = {"classTitle": kind, "geometryType": "rectangle", "points": {"exterior": [[2, 2], [9, 9]]}}
            size = {"height": 32, "width": 32}
            content = json.dumps({"tags": [], "size": size, "objects": [row]})
            write(root / folder / "ann" / f"{path.name}.json", content)
    classes = [{"title": kind, "shape": "rectangle"} for kind in KINDS]
    write(root / "meta.json", json.dumps({"classes": classes, "tags": []}))


def faces(root: Path) -> None:
    """CelebA's numbers of splits are no classes."""
    found = flat(root / "Img", 3)
    write(root / "list_eval_partition.txt", *(f"{path.name} {n % 3}" for n, (_, path) in enumerate(found)))


def people(root: Path) -> None:
    """Market-1501: splits without class folders, and one more folder."""
    for folder in ("bounding_box_train", "bounding_box_test", "query"):
        flat(root / folder, 2)


def boxes_in_rows(root: Path) -> None:
    """SKU-110K: a row for each box, without a heading."""
    rows = [f"{path.name},20,20,30,30,object,32,32" for _, path in flat(root / "images", 3)]
    write(root / "annotations" / "annotations_train.csv", *rows, *rows)


def skin(root: Path) -> None:
    """ISIC 2018: the masks of one folder in another."""
    for _, path in flat(root / "Task1_Training_Input", 3):
        (root / "Task1_Training_GroundTruth").mkdir(exist_ok=True)
        mask_HW = np.zeros((32, 32), np.uint8)
        mask_HW[4:20, 4:20] = 255
        Image.fromarray(mask_HW).save(root / "Task1_Training_GroundTruth" / f"{path.stem}_segmentation.png")


def domains(root: Path) -> None:
    """Office-31: the same classes in each."""
    for domain in ("amazon", "dslr"):
        list(photos(root / domain / "images", 2))


def cities(root: Path) -> None:
    """Cityscapes' pictures alone."""
    for split, city in (("train", "aachen"), ("train", "bochum"), ("val", "lindau")):
        put(root / "leftImg8bit" / split / city, "cat", 3, len(city))


def coco_as_it_is(root: Path) -> None:
    make_dataset(root, format="coco")
    for word in ("train", "val"):
        (root / word).rename(root / f"{word}2017")
    put(root / "unlabeled2017", "cat", 4)
    put(root / "stuffthingmaps" / "train2017", "cat", 4)


@pytest.mark.parametrize(
    ("layout", "error", "message"),
    [
        (faces, WrongTaskError, "no folders of images by class"),
        (people, WrongTaskError, "no folders of images by class"),
        (boxes_in_rows, WrongTaskError, "boxes or outlines within images"),
        (skin, WrongTaskError, "boxes or outlines within images"),
        (domains, DatasetError, "amazon and 1 folder beside it each hold the same folders"),
        (cities, DatasetError, "so they name no classes"),
        (coco_as_it_is, WrongTaskError, "boxes or outlines within images"),
        (flowers, DatasetError, r"MATLAB file \(imagelabels.mat\)"),
        (
            levels_of_aircraft,
            DatasetError,
            "calls cat_0 'family cat', and images_manufacturer_train.txt 'Airbus'",
        ),
        (voc, WrongTaskError, "boxes or outlines within images"),
        (supervisely, WrongTaskError, "boxes or outlines within images"),
    ],
)
def test_what_is_not_read_as_classes_is_refused_by_name(
    tmp_path: Path, layout: Callable[[Path], None], error: type[DatasetError], message: str
) -> None:
    layout(tmp_path)
    with pytest.raises(error, match=message) as caught:
        open_dataset(tmp_path, task="classify")
    assert caught.value.remedy


def test_birds_with_their_masks_keep_the_official_split_for_either_task(tmp_path: Path) -> None:
    cub(tmp_path)
    for path in sorted((tmp_path / "images").rglob("*.png")):
        mask_HW = np.zeros((32, 32), np.uint8)
        mask_HW[4:20, 4:20] = 255
        target = tmp_path / "segmentations" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask_HW).save(target)
    for task, expected in ((None, "segment"), ("classify", "classify")):
        found = open_dataset(tmp_path, task=task)  # type: ignore[arg-type]
        assert (found.task, found.class_names) == (expected, KINDS)
        assert sum(image.split == "test" for image in found.images) == 6


def test_masks_of_listed_images_are_no_images_without_a_class(tmp_path: Path) -> None:
    pets(tmp_path)
    flat(tmp_path / "annotations" / "trimaps", 6)
    assert kinds(open_dataset(tmp_path, task="classify")) == {}


def test_masks_beside_the_images_of_each_class_are_no_images_to_classify(tmp_path: Path) -> None:
    for kind in KINDS:
        put(tmp_path / kind / "images", kind, 4)
        for number, path in enumerate(put(tmp_path / kind / "masks", kind, 4, 20)):
            path.rename(path.with_name(f"{kind}_{number:03d}.png"))
    found = open_dataset(tmp_path, task="classify")
    assert (len(found.images), kinds(found)) == (12, {"mask_in_class": 12})


def test_annotations_beside_folders_that_were_asked_for_as_classes_are_told(tmp_path: Path) -> None:
    """TACO's batches."""
    list(photos(tmp_path, 4))
    (tmp_path / "annotations.json").write_text('{"images": [], "annotations": []}')
    assert kinds(open_dataset(tmp_path, task="classify")) == {"form_beside": 1}


def test_rotated_boxes_of_labelme_are_refused_by_name(tmp_path: Path) -> None:
    for kind, path in flat(tmp_path, 2):
        shape = {"label": kind, "shape_type": "rotation", "points": [[10, 5], [20, 10], [15, 20], [5, 15]]}
        content = {"version": "2.4.0", "flags": {}, "shapes": [shape], "imagePath": path.name}
        path.with_suffix(".json").write_text(json.dumps(content))
    with pytest.raises(WrongTaskError, match="OBB"):
        open_dataset(tmp_path)


def test_pictures_are_no_names_of_numbers(tmp_path: Path) -> None:
    for number, kind in enumerate(KINDS):
        put(tmp_path / "Train" / str(number), kind, 4)
    rows = (f"Meta/{number}.png,{number}" for number in range(3))
    write(tmp_path / "Meta.csv", "Path,ClassId", *rows)
    assert open_dataset(tmp_path).class_names == ("0", "1", "2")


def test_boxes_of_pets_are_divided_by_the_lists_beside_them(tmp_path: Path) -> None:
    make_dataset(tmp_path, format="voc")
    for path in (tmp_path / "ImageSets" / "Main").glob("*.txt"):
        rows = [f"{stem} 1 1 1" for stem in path.read_text().split()]
        write(
            tmp_path / "Annotations" / {"train": "trainval.txt", "val": "test.txt"}.get(path.stem, "x"), *rows
        )
        path.unlink()
    found = open_dataset(tmp_path)
    assert sum(image.split == "test" for image in found.images) == 3
