"""Annotations of images that are not there never go onto other images of the same names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from recommender.records import Dataset
from tests.datagen import make_dataset
from tests.datasets.helpers import kinds

SIZE = (32, 24)
CLASSES = {"cam1": "cat", "cam2": "dog"}
Names = list[tuple[str, str]]  # folder and file name of each image


def draw(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", SIZE, (number * 7 % 256, 90, 40))
    image.putpixel((number % 32, number // 32), (255, 255, 255))
    image.save(path, quality=95)


def coco(root: Path, names: Names, prefix: str = "") -> None:
    rows = [(n, f"{prefix}{folder}/{name}", folder) for n, (folder, name) in enumerate(names)]
    content = {
        "images": [{"id": n, "file_name": name, "width": 32, "height": 24} for n, name, _ in rows],
        "annotations": [
            {"id": n, "image_id": n, "category_id": list(CLASSES).index(folder), "bbox": [3, 3, 9, 9]}
            for n, _, folder in rows
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES.values())],
    }
    (root / "instances.json").write_text(json.dumps(content))


def cvat(root: Path, names: Names) -> None:
    images = "".join(
        f'<image id="{n}" name="{folder}/{name}" width="32" height="24">'
        f'<box label="{CLASSES[folder]}" xtl="3" ytl="3" xbr="12" ybr="12"/></image>'
        for n, (folder, name) in enumerate(names)
    )
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{images}</annotations>")


def voc_text(kind: str, name: str) -> str:
    box = "<xmin>3</xmin><ymin>3</ymin><xmax>12</xmax><ymax>12</ymax>"
    return (
        f"<annotation><filename>{name}</filename><size><width>32</width><height>24</height></size>"
        f"<object><name>{kind}</name><bndbox>{box}</bndbox></object></annotation>"
    )


def voc(root: Path, names: Names) -> None:
    for folder, name in names:
        path = root / folder / "Annotations" / f"{Path(name).stem}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(voc_text(CLASSES[folder], name))


def labelme(root: Path, names: Names) -> None:
    for folder, name in names:
        shape = {"label": CLASSES[folder], "points": [[3, 3], [12, 12]], "shape_type": "rectangle"}
        content = {"version": "5.0", "flags": {}, "shapes": [shape], "imagePath": name}
        path = root / folder / f"{Path(name).stem}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content | {"imageHeight": 24, "imageWidth": 32}))


def table(root: Path, names: Names) -> None:
    lines = [f"{folder}/{name},{CLASSES[folder]}\n" for folder, name in names]
    (root / "labels.csv").write_text("file,label\n" + "".join(lines))


def classes_by_folder(dataset: Dataset) -> set[tuple[str, str]]:
    """The camera's folder and the class of every object."""
    return {
        (folder, dataset.class_names[number])
        for image in dataset.images
        for folder in Path(image.name).parts
        if folder in CLASSES
        for number in image.classes_M.tolist()
    }


@pytest.mark.parametrize("write", [coco, cvat, voc, labelme, table])
@pytest.mark.parametrize("there", ["cam1", "cam2"])
def test_labels_of_a_missing_folder_go_onto_no_other_image(
    tmp_path: Path, write: Callable[[Path, Names], None], there: str
) -> None:
    many = [(there, f"{n:04d}.jpg") for n in range(12)]
    gone = "cam2" if there == "cam1" else "cam1"
    lost = [(gone, f"{n:04d}.jpg") for n in range(2)]
    extra = [(gone, f"x{n}.jpg") for n in range(4)] if write is table else []  # two classes at least
    inner = "JPEGImages" if write is voc else ""
    for number, (folder, name) in enumerate(many + extra):
        draw(tmp_path / folder / inner / name, number)
    write(tmp_path, sorted(many + lost + extra))
    found = open_dataset(tmp_path / "labels.csv" if write is table else tmp_path)
    assert kinds(found)["image_missing"] == 2
    assert len(found.images) == 12 + len(extra)
    assert classes_by_folder(found) == {(folder, CLASSES[folder]) for folder, _ in many + extra}


def test_a_renamed_folder_is_read_where_names_are_unique(tmp_path: Path) -> None:
    names = [("cam1", f"{n:04d}.jpg") for n in range(12)]
    for number, (_, name) in enumerate(names):
        draw(tmp_path / "photos" / name, number)
    coco(tmp_path, names, prefix="C:\\data\\")
    assert kinds(open_dataset(tmp_path)) == {}


def test_two_folders_that_were_renamed_into_one_are_refused(tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / "photos" / f"{number:04d}.jpg", number)
    coco(tmp_path, [(folder, f"{n:04d}.jpg") for folder in CLASSES for n in range(12)])
    with pytest.raises(DatasetError, match="may both mean"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("write", [coco, voc])
def test_a_mask_is_not_taken_for_a_missing_image(
    tmp_path: Path, write: Callable[[Path, Names], None]
) -> None:
    names = [("cam1", f"{n:04d}.jpg") for n in range(12)]
    for number, (folder, name) in enumerate(names):
        draw(tmp_path / folder / name, number)
        draw(tmp_path / "masks" / f"{Path(name).stem}.png", number)
    (tmp_path / "cam1" / "0000.jpg").unlink()
    write(tmp_path, names)
    found = open_dataset(tmp_path, task="detect")
    assert kinds(found)["image_missing"] == 1
    assert len(found.images) == 11


@pytest.mark.parametrize("also_in_val", [3, 9])
def test_images_of_train_that_val_lists_too_are_told_as_such(tmp_path: Path, also_in_val: int) -> None:
    """Bare names, as in COCO, and all files in one folder of annotations."""
    folder = make_dataset(tmp_path / "set", format="coco", images=12)
    (folder / "train").rename(folder / "train2017")
    (folder / "val").rename(folder / "val2017")
    train, val = (folder / "annotations" / f"instances_{split}.json" for split in ("train", "val"))
    content = json.loads(train.read_text())
    images = content["images"][:also_in_val]
    if also_in_val == 9:  # val is train
        val.write_text(json.dumps(content))
    else:
        own = json.loads(val.read_text())
        own["images"] += [{**row, "id": 100 + row["id"]} for row in images]
        val.write_text(json.dumps(own))
    found = open_dataset(folder)
    assert "image_missing" not in kinds(found)
    told = {"val_is_train": 1} if also_in_val == 9 else {"image_in_two_splits": 3}
    assert kinds(found).items() >= told.items()
    assert len(found.images) == (9 if also_in_val == 9 else 12)


def test_entries_of_train_go_onto_no_images_of_val(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="coco", images=24, val_share=0.75)
    train, val = (folder / "annotations" / f"instances_{split}.json" for split in ("train", "val"))
    content = json.loads(train.read_text())
    content["images"][0]["file_name"] = json.loads(val.read_text())["images"][0]["file_name"]
    train.write_text(json.dumps(content))
    found = open_dataset(folder)
    assert kinds(found)["image_missing"] == 1
    assert len(found.of_split("val")) == 18
