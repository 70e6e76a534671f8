"""Every format that is read holds the same data set."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, NotFoundError
from tests.datagen import FORMATS, SPLITLESS, Format, make_dataset, tar_of, zip_of
from tests.datasets.helpers import kinds, tree_digest, yolo_set


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_the_same_data_set(tmp_path: Path, form: Format) -> None:
    path = make_dataset(tmp_path / "given", format=form)
    before = tree_digest(tmp_path / "given")
    dataset = open_dataset(path)
    reference = open_dataset(
        make_dataset(tmp_path / "other", format="coco_file" if form in SPLITLESS else "yolo")
    )
    assert dataset.content_hash == reference.content_hash
    assert dataset.class_names == ("circle", "square")
    assert dataset.split_origin == ("seeded" if form in SPLITLESS else "given")
    assert {defect.severity for defect in dataset.defects} <= {"info"}
    assert tree_digest(tmp_path / "given") == before


@pytest.mark.parametrize("form", ["yolo", "roboflow_yolo", "roboflow_coco", "voc", "yolo_flat"])
@pytest.mark.parametrize("prefix", ["", "export/", "a/b/"])
def test_archives_hold_any_format(tmp_path: Path, home: Path, form: Format, prefix: str) -> None:
    path = make_dataset(tmp_path / "plain", format=form)
    packed = (zip_of if prefix != "a/b/" else tar_of)(path, tmp_path / "signs.zip", prefix=prefix)
    dataset = open_dataset(packed)
    assert dataset.content_hash == open_dataset(path).content_hash
    assert dataset.name == "signs"
    assert home in dataset.root.parents
    assert open_dataset(packed).root == dataset.root  # unpacked once


@pytest.mark.parametrize("name", ["हिन्दी", "Stra\u00dfe fu\u0308r", "数据-1"])
def test_an_archive_keeps_its_name_in_any_script(tmp_path: Path, home: Path, name: str) -> None:
    packed = zip_of(make_dataset(tmp_path / "plain"), tmp_path / "signs.zip")
    assert open_dataset(packed.rename(tmp_path / f"{name}.zip")).name == name


def test_a_long_name_of_an_archive_is_cut_to_what_file_systems_hold(tmp_path: Path, home: Path) -> None:
    packed = zip_of(make_dataset(tmp_path / "plain"), tmp_path / "signs.zip")
    assert open_dataset(packed.rename(tmp_path / f"{'字' * 83}.zip")).name == "字" * 53


def test_boxes_are_where_they_were_drawn(tmp_path: Path) -> None:
    from tests.datagen import draw_images

    drawn = draw_images(3, ("circle", "square"))[0]
    image = open_dataset(make_dataset(tmp_path, images=3)).of_split("train")[0]
    assert (image.width, image.height) == drawn.image.size
    expected = [
        [(x1 + x2) / 2 / 96, (y1 + y2) / 2 / 80, (x2 - x1) / 96, (y2 - y1) / 80]
        for _, x1, y1, x2, y2 in drawn.boxes
    ]
    np.testing.assert_allclose(image.boxes_M4, expected, atol=1e-5)
    assert image.classes_M.tolist() == [box[0] for box in drawn.boxes]


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val\nnames: {0: circle, 1: square}\n",
        "train: [images/train]\nval: ./images/val\nnc: 2\nnames:\n- circle\n- square\n",
        "path: .\r\ntrain: images/train\r\nvalid: images/val\r\nnames: ['circle', 'square']\r\n",
        "\ufefftrain: images/train\nval: images/val\ntest:\nnames: [circle, square]\n",
        "train: images/train\nval: images/val\ntest: ../test/images\nnames: [circle, square]\n",
        "train: train.txt\nval: val.txt\nnames: [circle, square]\n",
        "path: /content/elsewhere/signs\ntrain: images/train\nval: images/val\nnames: [circle, square]\n",
        "path: ..\\datasets\\signs\ntrain: images\\train\nval: images\\val\nnames: [circle, square]\n",
    ],
)
def test_data_yaml_as_people_write_it(tmp_path: Path, text: str) -> None:
    folder = yolo_set(tmp_path / "signs")
    expected = open_dataset(folder)
    for split in ("train", "val"):
        names = sorted(path.name for path in (folder / "images" / split).iterdir())
        lines = [
            f"./images/{split}/{name}" if i % 2 else f"images/{split}/{name}" for i, name in enumerate(names)
        ]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n\n")
    (folder / "data.yaml").write_text(text, newline="")
    for place in (folder, folder / "data.yaml"):
        dataset = open_dataset(place)
        assert dataset.content_hash == expected.content_hash
        assert dataset.class_names == ("circle", "square")


def test_names_stay_as_they_are_written(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    text = (folder / "data.yaml").read_text()
    (folder / "data.yaml").write_text(text.replace('["circle", "square"]', "[yes, 007]"))
    assert open_dataset(folder).class_names == ("yes", "007")


def test_nc_and_names_that_disagree(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    text = (folder / "data.yaml").read_text()
    (folder / "data.yaml").write_text(text.replace("nc: 2", "nc: 5"))
    dataset = open_dataset(folder)
    assert dataset.class_names == ("circle", "square")
    assert kinds(dataset) == {"nc_mismatch": 1}
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: circle, 3: square}\n")
    dataset = open_dataset(folder)
    assert dataset.class_names == ("circle", "1", "2", "square")
    assert kinds(dataset)["names_incomplete"] == 2


def test_without_names_ids_stand_for_them(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, format="yolo_layout")
    (folder / "classes.txt").unlink()
    dataset = open_dataset(folder)
    assert dataset.class_names == ("0", "1")
    assert kinds(dataset) == {"names_missing": 1}


def test_val_that_is_train_becomes_a_seeded_split(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    text = (folder / "data.yaml").read_text().replace("images/val", "images/train")
    (folder / "data.yaml").write_text(text)
    dataset = open_dataset(folder)
    assert dataset.split_origin == "seeded"
    assert kinds(dataset)["val_is_train"] == 1
    assert not {i.sha256 for i in dataset.of_split("train")} & {i.sha256 for i in dataset.of_split("val")}


def test_an_image_listed_in_both_splits_stays_in_train(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    (folder / "val.txt").write_text(
        "images/val/shape_0009.png\nimages/val/shape_0010.png\nimages/train/shape_0000.png\n"
    )
    text = (folder / "data.yaml").read_text().replace("images/val", "val.txt")
    (folder / "data.yaml").write_text(text)
    dataset = open_dataset(folder)
    assert kinds(dataset)["image_in_two_splits"] == 1
    assert [image.name for image in dataset.of_split("val")] == [
        "images/val/shape_0009.png",
        "images/val/shape_0010.png",
    ]


def test_train_without_val_is_divided_and_test_stays_held_back(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, format="yolo_layout")
    (folder / "images" / "val").rename(folder / "images" / "test")
    (folder / "labels" / "val").rename(folder / "labels" / "test")
    dataset = open_dataset(folder)
    assert dataset.split_origin == "seeded"
    assert [len(dataset.of_split(split)) for split in ("train", "val", "test")] == [7, 2, 3]


def test_upper_case_suffixes_spaces_and_unicode(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "my data · signs")
    expected = open_dataset(folder).content_hash
    for split in ("train", "val"):
        for number, path in enumerate(sorted((folder / "images" / split).iterdir())):
            stem = f"Bild {number} größe 図"
            path.rename(path.with_name(stem + ".PNG"))
            label = folder / "labels" / split / f"{path.stem}.txt"
            label.rename(label.with_name(stem + ".TXT"))
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "images" / "train" / "._shape.png").write_bytes(b"\0")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "shape.png").write_bytes(b"\0")
    assert open_dataset(folder).content_hash == expected


def test_labels_without_images_and_images_without_labels(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    (folder / "labels" / "train" / "shape_0000.txt").unlink()
    (folder / "images" / "train" / "shape_0001.png").unlink()
    dataset = open_dataset(folder)
    assert kinds(dataset) == {"image_label_doubtful": 1, "label_without_image": 1}
    assert all(len(image.classes_M) for image in dataset.of_split("train"))  # the label may be the image's


def test_among_many_images_without_labels_one_label_without_an_image_is_left_over(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path, images=24)
    for number in range(11):
        (folder / "labels" / "train" / f"shape_{number:04d}.txt").unlink()
    (folder / "images" / "train" / "shape_0011.png").unlink()
    dataset = open_dataset(folder)
    assert kinds(dataset) == {"image_without_label": 11, "label_without_image": 1}


def test_polygons_count_as_their_boxes(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    expected = open_dataset(folder)
    for path in (folder / "labels").rglob("*.txt"):
        rows = [[float(value) for value in row.split()] for row in path.read_text().splitlines()]
        path.write_text(
            "".join(
                f"{c:g} {x - w / 2:.7f} {y:.7f} {x:.7f} {y - h / 2:.7f} "
                f"{x + w / 2:.7f} {y:.7f} {x:.7f} {y + h / 2:.7f}\n"
                for c, x, y, w, h in rows
            )
        )
    dataset = open_dataset(folder)
    for found, wanted in zip(dataset.images, expected.images, strict=True):
        np.testing.assert_allclose(found.boxes_M4, wanted.boxes_M4, atol=1e-5)


def test_coco_file_brings_the_other_splits_beside_it(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, format="coco")
    alone = open_dataset(folder / "annotations" / "instances_train.json")
    assert alone.content_hash == open_dataset(folder).content_hash
    (folder / "annotations" / "instances_val.json").unlink()
    alone = open_dataset(folder / "annotations" / "instances_train.json")
    assert alone.split_origin == "seeded"
    assert len(alone.images) == 9


def test_a_darknet_folder_with_lists(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, format="yolo_flat")
    (folder / "classes.txt").rename(folder / "obj.names")
    (folder / "train.txt").write_text(
        "".join(f"/content/darknet/data/obj/shape_{i:04d}.png\n" for i in range(9))
    )
    (folder / "valid.txt").write_text("".join(f"data/obj/shape_{i:04d}.png\n" for i in range(9, 12)))
    dataset = open_dataset(folder)
    assert dataset.split_origin == "given"
    assert dataset.content_hash == open_dataset(make_dataset(tmp_path / "b")).content_hash


def test_what_is_no_data_set_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no .*nowhere"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(NotFoundError):
        open_dataset("a\0b")
    with pytest.raises(DatasetError, match="holds no image"):
        open_dataset(tmp_path)
    (tmp_path / "notes.md").write_text("hello")
    with pytest.raises(DatasetError, match="is not a data set"):
        open_dataset(tmp_path / "notes.md")
    (tmp_path / "hyp.yaml").write_text("lr0: 0.01\n")
    with pytest.raises(DatasetError, match="describes no data set"):
        open_dataset(tmp_path / "hyp.yaml")
    (tmp_path / "data.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(DatasetError, match="no COCO annotation file"):
        open_dataset(tmp_path / "data.json")
    (tmp_path / "two").mkdir()
    yolo_set(tmp_path / "two" / "signs")
    yolo_set(tmp_path / "two" / "cells")
    with pytest.raises(DatasetError, match=r"2 data sets: cells/data\.yaml, signs/data\.yaml"):
        open_dataset(tmp_path / "two")


def test_missing_val_named_in_the_yaml_is_told(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    shutil.rmtree(folder / "images" / "val")
    with pytest.raises(DatasetError, match=r"`val` in data\.yaml is 'images/val'.*divided from train"):
        open_dataset(folder)


def test_importing_loads_no_heavy_library() -> None:
    code = (
        "import sys, recommender.datasets;"
        "heavy = {'cv2', 'torch', 'ultralytics', 'imagehash', 'yaml', 'PIL', 'ray', 'scipy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
