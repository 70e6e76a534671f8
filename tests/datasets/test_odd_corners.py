"""Corners of the forms that data sets come in: read right, told, or refused by name. None was before."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import export_yolo, inspect_dataset, open_dataset, read_image
from recommender.errors import DatasetError
from tests.datagen import draw_images, make_dataset
from tests.datasets import foreign
from tests.datasets.helpers import kinds, yolo_set

Rows = list[dict[str, Any]]


def coco(tmp_path: Path, change: Callable[[Rows], None] | None = None) -> Path:
    """A COCO file of 24 images after `change` of its annotations."""
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    content = json.loads(path.read_text())
    if change is not None:
        change(content["annotations"])
    path.write_text(json.dumps(content))
    return path


def corners_whose_area_tells(rows: Rows) -> None:
    for row in rows:
        row["area"] = row["bbox"][2] * row["bbox"][3]
        row["bbox"] = [
            row["bbox"][0],
            row["bbox"][1],
            row["bbox"][0] + row["bbox"][2],
            row["bbox"][1] + row["bbox"][3],
        ]


def corners_some_of_which_lead_out(rows: Rows) -> None:
    corners_whose_area_tells(rows)
    for row in rows:
        del row["area"]


@pytest.mark.parametrize("change", [corners_whose_area_tells, corners_some_of_which_lead_out])
def test_corners_in_coco_are_refused_though_most_lie_within(
    tmp_path: Path, change: Callable[[Rows], None]
) -> None:
    with pytest.raises(DatasetError, match="corners"):
        open_dataset(coco(tmp_path, change))


@pytest.mark.parametrize("write", [lambda box: [str(v) for v in box], str])
def test_numbers_of_coco_may_be_texts(tmp_path: Path, write: Callable[[list[float]], Any]) -> None:
    expected = open_dataset(coco(tmp_path)).content_hash

    def change(rows: Rows) -> None:
        for row in rows:
            row["bbox"] = write(row["bbox"])

    assert open_dataset(coco(tmp_path, change)).content_hash == expected


@pytest.mark.parametrize("deep", [False, True])
def test_points_of_coco_may_be_pairs(tmp_path: Path, deep: bool) -> None:
    def change(rows: Rows) -> None:
        for row in rows:
            x, y, w, h = row["bbox"]
            pairs = [[x, y], [x + w, y], [x + w / 2, y + h / 2], [x, y + h]]
            row["segmentation"] = [pairs] if deep else pairs
            del row["bbox"]

    dataset = open_dataset(coco(tmp_path, change))
    assert dataset.task == "segment"
    polygons = [polygon for image in dataset.images for polygon in image.polygons or ()]
    assert len(polygons) == 48
    assert all(len(polygon[0]) == 4 for polygon in polygons)


def test_an_image_id_of_two_pictures_is_refused(tmp_path: Path) -> None:
    path = coco(tmp_path)
    content = json.loads(path.read_text())
    content["images"][1]["id"] = content["images"][0]["id"]
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="cannot be told"):
        open_dataset(path)


@pytest.mark.parametrize("folder", ["./", "images/"])
def test_a_picture_that_coco_lists_twice_is_told(tmp_path: Path, folder: str) -> None:
    path = coco(tmp_path)
    content = json.loads(path.read_text())
    first = content["images"][0]
    content["images"].append({**first, "file_name": folder + first["file_name"]})
    path.write_text(json.dumps(content))
    assert kinds(open_dataset(path)) == {"image_duplicate_id": 1}


def test_a_label_file_of_two_pictures_is_told(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    first = folder / "images" / "train" / "shape_0000.png"
    first.with_suffix(".bmp").write_bytes((first.parent / "shape_0001.png").read_bytes())
    assert kinds(open_dataset(folder))["label_shared"] == 1


def test_labelled_images_that_a_data_yaml_without_val_passes_over_are_told(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    (folder / "data.yaml").write_text("train: images/train\nnames: [circle, square]\n")
    (told,) = open_dataset(folder).defects
    assert (told.kind, told.count) == ("image_unlisted", 3)
    assert list(told.examples) == sorted(told.examples)


@pytest.mark.parametrize("name", ["predefined_classes.txt", "custom.names"])
def test_names_are_found_in_files_of_other_tools(tmp_path: Path, name: str) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout")
    (folder / "classes.txt").rename(folder / name)
    assert open_dataset(folder).class_names == ("circle", "square")


@pytest.mark.parametrize("name", ["predefined_classes.txt", "coco.names"])
def test_names_of_other_tools_count_for_nothing_beside_those_of_the_data(tmp_path: Path, name: str) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout")
    (folder / name).write_text("person\nbicycle\ncar\n")
    assert open_dataset(folder).class_names == ("circle", "square")


@pytest.mark.parametrize(
    ("place", "row", "named"),
    [
        ("labels", "684,8,273,116,0,1,0,0", "VisDrone"),
        ("gt", "1,0,8,58,20,36,1,1,1.0", "MOT"),
        ("labels", "2\n8 58 28 94 car\n5 5 20 20 dog", "BBox-Label-Tool"),
        ("labels", "Car 8 58 28 94", "begins with the class's name"),
        ("faces", "# a.jpg\n8 58 20 36", "RetinaFace"),
    ],
)
def test_texts_of_other_tools_are_refused_by_name(tmp_path: Path, place: str, row: str, named: str) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout")
    labels = sorted((folder / "labels").rglob("*.txt"))
    for path in labels:
        target = folder / place / path.relative_to(folder / "labels")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.unlink()
        target.write_text(f"{row}\n")
    with pytest.raises(DatasetError, match=named) as caught:
        open_dataset(folder)
    assert caught.value.remedy


def class_folders(folder: Path, val: str = "val") -> Path:
    """Eight pictures of each of two classes, two of them in `val`."""
    for number, drawn in enumerate(draw_images(16, ("a", "b"))):
        place = folder / ("train" if number < 12 else val) / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        drawn.image.save(place / f"{number}.png")
    return folder


@pytest.mark.parametrize("suffix", [".exr", ".dcm", ".nef"])
def test_pictures_of_kinds_that_are_not_read_are_told(tmp_path: Path, suffix: str) -> None:
    folder = class_folders(tmp_path / "set")
    (folder / "train" / "a" / f"more{suffix}").write_bytes(b"P6 1 1 255 abc")
    assert kinds(open_dataset(folder)) == {"image_kind_unread": 1}


@pytest.mark.parametrize(("word", "split"), [("eval", "val"), ("evaluation", "val"), ("holdout", "test")])
def test_more_words_for_splits(tmp_path: Path, word: str, split: str) -> None:
    dataset = open_dataset(class_folders(tmp_path / "set", word))
    assert len(dataset.images) == 16
    held = {image.split for image in dataset.images if image.name.startswith(word)}
    assert held == {split}


@pytest.mark.parametrize("form", ["classes", "yolo"])
def test_two_folders_of_one_split_are_told(tmp_path: Path, form: str) -> None:
    if form == "classes":
        folder = class_folders(tmp_path / "set", "eval")
        shutil.copytree(folder / "eval", folder / "val")
        for path in (folder / "val").rglob("*.png"):
            Image.open(path).rotate(180).save(path)
    else:
        folder = make_dataset(tmp_path / "set", format="yolo_layout", images=16)
        for part in ("images", "labels"):
            (folder / part / "eval").mkdir()
            first = sorted((folder / part / "val").iterdir())[0]
            first.rename(folder / part / "eval" / first.name)
    told = next(d for d in open_dataset(folder).defects if d.kind == "split_by_word")
    assert told.examples == ("eval and val: together taken as val",)


@pytest.mark.parametrize("name", ["model.h5", "weights.hdf5", "db/data.mdb"])
def test_weights_beside_class_folders_are_no_annotations(tmp_path: Path, name: str) -> None:
    path = class_folders(tmp_path / "set") / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x89HDF")
    for task in (None, "classify"):
        assert "form_beside" not in kinds(open_dataset(tmp_path / "set", task=task))


@pytest.mark.parametrize("inverted", [False, True])
def test_inverted_masks_are_told(tmp_path: Path, inverted: bool) -> None:
    for number, drawn in enumerate(draw_images(12, ("a",), boxes=1)):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
        mask = Image.new("L", drawn.image.size, 255 if inverted else 0)
        x1, y1, x2, y2 = map(int, drawn.boxes[0][1:])
        mask.paste(0 if inverted else 255, (x1, y1, x2, y2))
        drawn.image.save(tmp_path / "images" / f"{number}.png")
        mask.save(tmp_path / "masks" / f"{number}.png")
    assert ("mask_inverted" in kinds(open_dataset(tmp_path))) == inverted


def test_voc_with_a_namespace_is_read_alike(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc")
    expected = open_dataset(folder).content_hash
    for path in (folder / "Annotations").glob("*.xml"):
        path.write_text(
            path.read_text().replace("<annotation>", '<annotation xmlns="http://example.org/voc">', 1)
        )
    assert open_dataset(folder).content_hash == expected


def test_several_annotations_of_an_image_in_label_studio_are_told(tmp_path: Path) -> None:
    folder = foreign.label_studio(tmp_path / "set", draw_images(12, ("a", "b")), ("a", "b"))
    for path in folder.rglob("*.json"):
        rows = json.loads(path.read_text())
        rows[0]["annotations"] *= 2
        path.write_text(json.dumps(rows))
    assert kinds(open_dataset(folder))["annotations_several"] >= 1


@pytest.mark.parametrize("annotations", [[], [{"was_cancelled": True, "result": []}]])
def test_tasks_of_label_studio_that_nobody_annotated_are_no_background(
    tmp_path: Path, annotations: list[dict[str, Any]]
) -> None:
    folder = foreign.label_studio(tmp_path / "set", draw_images(12, ("a", "b")), ("a", "b"))
    for path in folder.rglob("*.json"):
        rows = json.loads(path.read_text())
        made, rows[0]["annotations"] = rows[1]["annotations"], annotations
        path.write_text(json.dumps(rows))
    told = kinds(open_dataset(folder))["image_unannotated"]
    assert told >= 1
    for path in folder.rglob("*.json"):
        rows = json.loads(path.read_text())
        path.write_text(
            json.dumps([{**row, "annotations": annotations, "predictions": made} for row in rows])
        )
    with pytest.raises(DatasetError, match="none is annotated"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["data.arrow", "data.h5", "train_lmdb/data.mdb"])
def test_containers_of_other_libraries_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"Arrow|HDF5|LMDB"):
        open_dataset(tmp_path)


def test_a_data_yaml_whose_images_have_no_labels_is_not_passed_over(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    shutil.copytree(folder / "images", folder / "store" / "images")
    (folder / "labels").rename(folder / "store" / "labels")
    said = r"12 images, and none has a label file in labels/train, .*; store/images/train/shape_0000\.png"
    with pytest.raises(DatasetError, match=said) as refused:
        open_dataset(folder)
    assert "Put the label files there" in (refused.value.remedy or "")


def test_folders_are_no_classes_beside_a_data_yaml_that_names_others(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    shutil.rmtree(folder / "labels")
    for number, path in enumerate(sorted((folder / "images").rglob("*.png"))):
        place = path.parent / f"cam{number % 2}" / path.name
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
    with pytest.raises(DatasetError, match="none has a label file in labels/train/cam0"):
        open_dataset(folder)
    assert set(open_dataset(folder, task="classify").class_names) == {"cam0", "cam1"}


def test_annotations_packed_beside_images_are_refused_by_name(tmp_path: Path) -> None:
    path = coco(tmp_path)
    path.with_suffix(".json.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    with pytest.raises(DatasetError, match=r"\.json\.gz is packed") as caught:
        open_dataset(path.parent)
    assert "Unpack" in str(caught.value.remedy)


@pytest.mark.parametrize("beside", [0, 10])
def test_pictures_within_labelme_files_are_refused_where_they_lack(tmp_path: Path, beside: int) -> None:
    folder = foreign.labelme(tmp_path / "set", draw_images(12, ("a", "b")), ("a", "b"))
    for number, path in enumerate(sorted(folder.rglob("*.json"))):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"imageData": "iVBORw0KGgo="}))
        if number >= beside:
            next(folder.rglob(Path(content["imagePath"].replace("\\", "/")).name)).unlink()
    if beside:
        assert kinds(open_dataset(folder))["image_missing"] == 2
        return
    with pytest.raises(DatasetError, match="imageData") as caught:
        open_dataset(folder)
    assert "imagePath" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".ppm", "RGB"), (".pgm", "L"), (".pgm", "I;16"), (".pbm", "1")]
)
def test_netpbm_pictures_are_read_and_exported_as_png(tmp_path: Path, suffix: str, mode: str) -> None:
    folder = class_folders(tmp_path / "set")
    for path in sorted(folder.rglob("*.png")):
        picture = Image.open(path).convert("L" if mode == "I;16" else mode)
        if mode == "I;16":
            picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 256)
        picture.save(path.with_suffix(suffix))
        path.unlink()
    dataset = open_dataset(folder)
    assert len(dataset.images) == 16
    assert not kinds(dataset)
    assert not [defect for defect in inspect_dataset(dataset).defects if "unreadable" in defect.kind]
    out = export_yolo(dataset, tmp_path / "out")
    for split in ("train", "val"):
        copies = sorted(path for path in (out / split).rglob("*.*"))
        assert {path.suffix for path in copies} == {".png"}
        for image in dataset.of_split(split):
            copy = next(path for path in copies if path.stem.endswith(f"_{image.path.stem}"))
            assert np.array_equal(read_image(copy), read_image(image.path))


def test_signs_as_gtsrb_leaves_them_are_classes_and_with_detect_boxes(tmp_path: Path) -> None:
    for kind in ("00000", "00001"):
        (tmp_path / "Images" / kind).mkdir(parents=True)
        rows = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
        for number, drawn in enumerate(draw_images(8, ("a",), seed=int(kind), boxes=1)):
            drawn.image.save(tmp_path / "Images" / kind / f"{number:05}.ppm")
            corners = ";".join(str(int(value)) for value in drawn.boxes[0][1:])
            rows.append(f"{number:05}.ppm;{drawn.image.width};{drawn.image.height};{corners};{int(kind)}")
        (tmp_path / "Images" / kind / f"GT-{kind}.csv").write_text("\n".join(rows))
    assert open_dataset(tmp_path).class_names == ("00000", "00001")
    boxes = open_dataset(tmp_path, task="detect")
    assert boxes.class_names == ("0", "1")
    assert len(boxes.images) == 16


@pytest.mark.parametrize("below", ["", "cfg"])
def test_the_list_that_darknet_calls_valid_is_val(tmp_path: Path, below: str) -> None:
    folder = make_dataset(tmp_path / "data", format="yolo_flat")
    expected = open_dataset(make_dataset(tmp_path / "plain")).content_hash
    (folder / "train.txt").write_text("".join(f"data/shape_{i:04d}.png\n" for i in range(9)))
    (folder / "test.txt").write_text("".join(f"data/shape_{i:04d}.png\n" for i in range(9, 12)))
    (folder / below).mkdir(exist_ok=True)
    rows = "classes = 2\ntrain  = data/train.txt\nvalid  = data/test.txt\nbackup = backup/\n"
    (folder / below / "obj.data").write_text(rows)
    found = open_dataset(folder)
    assert (found.split_origin, found.content_hash) == ("given", expected)
    (folder / below / "obj.data").write_text(
        rows.replace("test", "train")
    )  # no val of its own: divided from train
    found = open_dataset(folder)
    assert (found.split_origin, len(found.of_split("test"))) == ("seeded", 3)


def lists_of_one_class_each(folder: Path) -> None:
    """`circle_train.txt` with a flag for each image, of a class called `train`, too, and no train.txt."""
    for path in sorted((folder / "ImageSets" / "Main").iterdir()):
        stems = path.read_text().split()
        for name, flags in (("circle", ("1", "-1")), ("train", ("-1", "0"))):
            rows = (f"{stem} {flags[number % 2]:>2}\n" for number, stem in enumerate(stems))
            path.with_name(f"{name}_{path.name}").write_text("".join(rows))


def test_lists_of_one_class_each_divide_voc_where_no_others_do(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    expected = open_dataset(folder).content_hash
    lists_of_one_class_each(folder)
    assert (
        open_dataset(folder).content_hash == expected
    )  # train_val.txt is val of the class `train`, not train
    for split in ("train", "val"):
        (folder / "ImageSets" / "Main" / f"{split}.txt").unlink()
    found = open_dataset(folder)
    assert (found.split_origin, found.content_hash) == ("given", expected)
    (folder / "ImageSets" / "Main" / "circle_val.txt").write_text("shape_0000 1\n")
    with pytest.raises(DatasetError, match=r"circle_val\.txt and .*circle_train\.txt both list shape_0000"):
        open_dataset(folder)


def test_splits_may_be_folders_of_images_and_of_labels_side_by_side(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout")
    expected = open_dataset(folder)
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (folder / kind / split).rename(folder / f"{split}_{kind}")
        (folder / kind).rmdir()
    found = open_dataset(folder)
    assert (found.split_origin, found.content_hash) == ("given", expected.content_hash)
    assert kinds(found) == kinds(expected)
