"""Pascal VOC as tools and people write it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, UnsafeInputError, WrongTaskError
from recommender.records import SPLITS
from tests.datagen import make_dataset
from tests.datasets.helpers import kinds


def edit(path: Path, pattern: str, replacement: str, count: int = 1) -> None:
    text, done = re.subn(pattern, replacement, path.read_text(), count=count, flags=re.DOTALL)
    assert done
    path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "set", format="voc", images=24)


def xml(folder: Path, number: int = 0) -> Path:
    return folder / "Annotations" / f"shape_{number:04d}.xml"


def test_faults_are_counted_by_kind(folder: Path) -> None:
    edit(xml(folder, 0), r"<xmin>[^<]*</xmin><ymin>", "<xmin>nan</xmin><ymin>")
    edit(xml(folder, 1), r"<xmax>[^<]*</xmax>", "<xmax>oops</xmax>")
    edit(xml(folder, 2), r"<bndbox>.*?</bndbox>", "")
    edit(xml(folder, 3), r"<name>[^<]*</name>", "<name> </name>")
    edit(
        xml(folder, 4), r"<xmin>([^<]*)</xmin>(.*?)<xmax>([^<]*)</xmax>", r"<xmin>\3</xmin>\2<xmax>\1</xmax>"
    )
    edit(xml(folder, 5), r"<xmin>([^<]*)</xmin>(.*?)<xmax>[^<]*</xmax>", r"<xmin>\1</xmin>\2<xmax>\1</xmax>")
    xml(folder, 6).write_text("<annotation><object>")
    (folder / "JPEGImages" / "shape_0007.png").unlink()
    xml(folder, 8).unlink()
    dataset = open_dataset(folder)
    assert kinds(dataset) == {
        "label_not_finite": 2,
        "label_no_box": 1,
        "label_class_unknown": 1,
        "label_corners_swapped": 1,
        "label_zero_area": 1,
        "label_unreadable": 1,
        "image_unlabelled": 1,
        "image_missing": 1,
        "image_without_label": 1,
    }


def test_difficult_objects_and_parts_within_them(folder: Path) -> None:
    expected = open_dataset(folder).content_hash
    path = xml(folder)
    edit(path, "<difficult>0</difficult>", "<difficult>1</difficult><truncated>1</truncated>", count=0)
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    edit(path, "</object>", part + "</object>", count=0)
    dataset = open_dataset(folder)
    assert dataset.content_hash == expected
    assert dataset.class_names == ("circle", "square")


def test_polygons_count_as_their_extent(folder: Path) -> None:
    expected = open_dataset(folder)
    corners = r"<bndbox><xmin>(.*?)</xmin><ymin>(.*?)</ymin><xmax>(.*?)</xmax><ymax>(.*?)</ymax></bndbox>"
    for number in range(24):
        form = (
            r"<polygon><x1>\1</x1><y1>\2</y1><x2>\3</x2><y2>\2</y2><x3>\3</x3><y3>\4</y3></polygon>",
            r"<polygon><username>me</username><pt><x>\1</x><y>\2</y></pt><pt><x>\3</x><y>\4</y></pt></polygon>",
        )[number % 2]
        edit(xml(folder, number), corners, form, count=0)
    dataset = open_dataset(folder)
    for found, wanted in zip(dataset.images, expected.images, strict=True):
        np.testing.assert_allclose(found.boxes_M4, wanted.boxes_M4, atol=1e-6)


@pytest.mark.parametrize(
    "size", ["", "<size><width>0</width><height>0</height></size>", "<size><width>x</width></size>"]
)
def test_unknown_sizes_are_taken_from_the_image(folder: Path, size: str) -> None:
    expected = open_dataset(folder).content_hash
    for number in range(24):
        edit(xml(folder, number), "<size>.*?</size>", size)
    assert open_dataset(folder).content_hash == expected


def test_images_are_found_by_the_name_in_the_xml(folder: Path) -> None:
    expected = open_dataset(folder).content_hash
    shutil.rmtree(folder / "ImageSets")
    (folder / "Annotations").rename(folder / "xmls")
    (folder / "JPEGImages").rename(folder / "pictures")
    for number, path in enumerate(sorted((folder / "xmls").iterdir())):
        edit(path, "<filename>", "<filename>C:\\\\photos\\\\")
        split = "val" if number >= 18 else "train"
        (folder / "xmls" / split).mkdir(exist_ok=True)
        path.rename(folder / "xmls" / split / f"annotation {number}.xml")
    assert open_dataset(folder).content_hash == expected


def test_trainval_is_divided_and_test_kept(folder: Path) -> None:
    lists = folder / "ImageSets" / "Main"
    (lists / "train.txt").rename(lists / "trainval.txt")
    (lists / "val.txt").rename(lists / "test.txt")
    (lists / "circle_trainval.txt").write_text("shape_0000 -1\n")
    dataset = open_dataset(folder)
    assert dataset.split_origin == "seeded"
    assert [len(dataset.of_split(split)) for split in ("train", "val", "test")] == [14, 4, 6]


def test_rotated_boxes_are_refused_by_name(folder: Path) -> None:
    for number in range(24):
        edit(xml(folder, number), "bndbox>", "robndbox>", count=0)
    with pytest.raises(WrongTaskError, match="OBB"):
        open_dataset(folder)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><annotation>&b;</annotation>',
        '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>',
    ],
)
def test_entities_are_refused(folder: Path, text: str) -> None:
    xml(folder).write_text(text)
    with pytest.raises(UnsafeInputError, match="entities") as caught:
        open_dataset(folder)
    assert "root" not in str(caught.value)


def test_deep_and_large_xml_is_survived(folder: Path) -> None:
    xml(folder, 0).write_text("<annotation>" + "<a>" * 200_000 + "</a>" * 200_000 + "</annotation>")
    xml(folder, 1).write_text("<annotation>" + " " * 5_000_000 + "</annotation>")
    xml(folder, 2).write_text('<?xml version="1.0" encoding="nonsense"?><annotation/>')
    dataset = open_dataset(folder)
    assert kinds(dataset)["label_too_large"] == 1
    assert kinds(dataset)["label_unreadable"] == 1


def test_broken_everywhere_is_refused(folder: Path) -> None:
    for number in range(24):
        edit(xml(folder, number), "<xmin>[^<]*</xmin>", "<xmin>?</xmin>", count=0)
    with pytest.raises(DatasetError, match="label_not_finite 48"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("name", "num_listed", "counts", "told"),
    [
        ("train", 18, [18, 6, 0], {}),
        ("trainval", 18, [14, 4, 6], {}),
        ("train", 6, [5, 1, 0], {"image_unlisted": 18}),
    ],
)
def test_one_list_of_train_leaves_the_rest_for_val(
    folder: Path, name: str, num_listed: int, counts: list[int], told: dict[str, int]
) -> None:
    shutil.rmtree(folder / "ImageSets")
    stems = sorted(path.stem for path in (folder / "Annotations").iterdir())
    (folder / "Annotations" / f"{name}.txt").write_text("\n".join(stems[:num_listed]))
    found = open_dataset(folder)
    assert [len(found.of_split(split)) for split in SPLITS] == counts
    assert kinds(found) == told


@pytest.mark.parametrize(
    ("text", "counts"), [("to do: check the labels\n", None), ("shape_0003\nshape_0007.png\n", [22, 2])]
)
def test_a_text_at_the_top_drops_no_image(folder: Path, text: str, counts: list[int] | None) -> None:
    shutil.rmtree(folder / "ImageSets")
    expected = open_dataset(folder)
    (folder / "val.txt").write_text(text)
    found = open_dataset(folder)
    splits = [len(found.of_split(split)) for split in SPLITS[:2]]
    assert splits == (counts or [len(expected.of_split(split)) for split in SPLITS[:2]])
    assert "image_missing" not in kinds(found)
