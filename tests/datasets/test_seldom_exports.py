"""Seldom exports: splits in tags, names in a YAML alone, labels called after `a.png`, forms that are not known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from tests.datagen import draw_images, make_dataset
from tests.datasets import foreign
from tests.datasets.helpers import kinds, yolo_set


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("labels.xlsx", "an Excel table.*as CSV"),
        ("annotation_train.odgt", "odgt"),
        ("output.manifest", "Ground Truth"),
        ("samples.json", "FiftyOne"),
        ("boxes.pkl", r"Of boxes\.pkl the form is not known.*Export as COCO"),
        ("gt/gt_1.txt", r"Of gt/gt_1\.txt the form is not known"),
    ],
)
def test_labels_of_unknown_forms_beside_images_are_named(tmp_path: Path, name: str, said: str) -> None:
    for drawn in draw_images(4, ("a", "b")):
        drawn.image.save(tmp_path / f"{drawn.stem}.png")
    (tmp_path / "readme.txt").write_text("About these images")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('{"samples": [{"_id": 1}]}')
    with pytest.raises(DatasetError, match=said):
        open_dataset(tmp_path)


def test_a_test_split_without_any_label_is_no_background(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set", images=16)
    expected = open_dataset(folder).content_hash
    (folder / "images" / "test").mkdir()
    for drawn in draw_images(3, ("a", "b"), seed=7):
        drawn.image.save(folder / "images" / "test" / f"{drawn.stem}.png")
    text = (folder / "data.yaml").read_text()
    (folder / "data.yaml").write_text(f"{text}\ntest: images/test\n")
    found = open_dataset(folder)
    assert (found.content_hash, kinds(found)) == (expected, {"test_unlabelled": 3})


def test_labels_called_after_the_whole_name_of_their_image(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    expected = open_dataset(folder).content_hash
    for path in folder.glob("labels/*/*.txt"):
        path.rename(path.with_suffix(".png.txt"))
    found = open_dataset(folder)
    assert (found.content_hash, found.config) == (expected, None)


def test_names_stand_in_a_yaml_without_splits(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout")
    expected = open_dataset(folder).content_hash
    names = (folder / "classes.txt").read_text().split("\n")
    (folder / "classes.txt").unlink()
    (folder / "data.yaml").write_text(f"nc: 2\nnames: {names[:2]}\n")
    assert open_dataset(folder).content_hash == expected


def test_tags_of_supervisely_divide(tmp_path: Path) -> None:
    folder = foreign.supervisely(tmp_path / "set", draw_images(12, ("a", "b")), ("a", "b"))
    paths = sorted(path for path in folder.rglob("*.json") if path.parent.name == "ann")
    for number, path in enumerate(paths):
        tags = [{"name": "val" if number < 4 else "Train"}, {"name": "rainy"}]
        path.write_text(json.dumps({**json.loads(path.read_text()), "tags": tags}))
    found = open_dataset(folder)
    assert (found.split_origin, found.num_images.val, found.num_images.train) == ("given", 4, 8)


def test_xml_in_a_declared_encoding_of_several_bytes(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", classes=("circle", "square"))
    for path in (folder / "Annotations").glob("*.xml"):
        text = path.read_text().replace("<name>circle", "<name>圆")
        text = text[text.index("<annotation") :]
        path.write_bytes(('<?xml version="1.0" encoding="GB2312"?>' + text).encode("gb2312"))
    assert "圆" in open_dataset(folder).class_names


@pytest.mark.parametrize("name", ["autosplit_{}.txt", "{}_list.txt"])
def test_lists_named_after_what_they_are_divide(tmp_path: Path, name: str) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_flat")
    for split, numbers in (("train", range(8)), ("val", range(8, 12))):
        (folder / name.format(split)).write_text("".join(f"./shape_{n:04d}.png\n" for n in numbers))
    assert open_dataset(folder).num_images.val == 4


def test_lists_of_pairs_divide_voc(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc")
    stems = sorted(path.stem for path in (folder / "Annotations").iterdir())
    shutil.rmtree(folder / "ImageSets")
    for split, own in (("train", stems[:7]), ("val", stems[7:])):
        rows = (f"JPEGImages/{stem}.png Annotations/{stem}.xml\n" for stem in own)
        (folder / f"{split}_list.txt").write_text("".join(rows))
    found = open_dataset(folder)
    assert (found.num_images.train, found.num_images.val) == (7, len(stems) - 7)


def test_labels_may_lie_above_the_folders_within_a_split(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    expected = open_dataset(folder)
    for path in sorted(folder.glob("images/*/*.png")):
        place = path.parent / ("circle", "square")[int(path.stem[-1]) % 2]
        place.mkdir(exist_ok=True)
        path.rename(place / path.name)
    found = open_dataset(folder)
    assert (found.content_hash, found.config) == (expected.content_hash, None)


def test_folders_of_images_and_annotations_are_no_classes(tmp_path: Path) -> None:
    for number, drawn in enumerate(draw_images(12, ("a", "b"))):
        for part in ("img_dir", "ann_dir"):
            (tmp_path / part / drawn.split).mkdir(parents=True, exist_ok=True)
        drawn.image.save(tmp_path / "img_dir" / drawn.split / f"{number}.jpg")
        mask_HW = np.zeros((drawn.image.height, drawn.image.width), np.uint8)
        mask_HW[20:50, 10:60] = 1 + number % 2
        Image.fromarray(mask_HW).save(tmp_path / "ann_dir" / drawn.split / f"{number}.png")
    (tmp_path / "classes.txt").write_text("background\na\nb\n")
    found = open_dataset(tmp_path)
    assert (found.task, found.class_names, found.num_images.val) == ("segment", ("a", "b"), 3)
