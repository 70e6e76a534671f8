"""Files that contradict themselves: the consistent reading is taken and said, or the set is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError, WrongTaskError
from recommender.records import Dataset
from tests.datagen import draw_images, make_dataset
from tests.datasets import foreign
from tests.datasets.helpers import kinds, write_rows, yolo_set

Rows = list[dict[str, Any]]


def same_boxes(found: Dataset, expected: Dataset, tolerance: float = 0.011) -> None:
    """Assert that both hold the same boxes and classes, image by image."""
    assert len(found.images) == len(expected.images)
    by_hash = {image.sha256: image for image in expected.images}
    for image in found.images:
        assert image.classes_M.tolist() == by_hash[image.sha256].classes_M.tolist()
        assert np.abs(image.boxes_M4 - by_hash[image.sha256].boxes_M4).max(initial=0) < tolerance


def coco(tmp_path: Path, change: Callable[[dict[str, Any]], None], **options: Any) -> tuple[Path, Dataset]:
    """A COCO file after `change`, and the data set as it was before."""
    path = make_dataset(tmp_path / "set", format="coco_file", images=24, size=(96, 64), **options)
    expected = open_dataset(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path, expected


def swap_sizes(content: dict[str, Any]) -> None:
    for image in content["images"]:
        image["width"], image["height"] = image["height"], image["width"]


def constant_large_size(content: dict[str, Any]) -> None:
    for image in content["images"]:
        image["width"], image["height"] = 1280, 720


def constant_small_size(content: dict[str, Any]) -> None:
    for image in content["images"]:
        image["width"], image["height"] = 50, 40


@pytest.mark.parametrize("change", [swap_sizes, constant_large_size, constant_small_size])
def test_a_wrong_declared_size_is_not_believed(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    path, expected = coco(tmp_path, change)
    found = open_dataset(path)
    same_boxes(found, expected)
    assert kinds(found)["image_size_wrong"] == 24


@pytest.mark.parametrize("factor", [0.5, 0.7, 3.0])
def test_images_scaled_after_they_were_annotated_keep_their_boxes(tmp_path: Path, factor: float) -> None:
    def scale(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image["width"], image["height"] = image["width"] / factor, image["height"] / factor
        for row in content["annotations"]:
            row["bbox"] = [value / factor for value in row["bbox"]]
            row.pop("segmentation", None)

    path, expected = coco(tmp_path, scale)
    found = open_dataset(path)
    same_boxes(found, expected)
    assert kinds(found) == {"image_size_differs": 24}


def test_sizes_that_are_right_for_some_and_wrong_for_others_are_refused(tmp_path: Path) -> None:
    def half(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image["width"], image["height"] = (192, 128) if image["id"] % 2 else (40, 30)
        doubled = {image["id"] for image in content["images"] if image["id"] % 2}
        for row in content["annotations"]:
            row.pop("segmentation", None)
            if row["image_id"] in doubled:
                row["bbox"] = [value * 2 for value in row["bbox"]]

    path, _ = coco(tmp_path, half)
    with pytest.raises(DatasetError, match="are not those of the images"):
        open_dataset(path)


def outlined(row: dict[str, Any]) -> dict[str, Any]:
    x, y, w, h = row["bbox"]
    row["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    return row


def zero_every_second(rows: Rows) -> None:
    for row in rows[::2]:
        row["bbox"] = [0, 0, 0, 0]


def zero_all(rows: Rows) -> None:
    for row in rows:
        row["bbox"] = [0, 0, 0, 0]


def shift_all(rows: Rows) -> None:
    for row in rows:
        row["bbox"][0] += 40


def double_few(rows: Rows) -> None:
    for row in rows[:5]:
        row["bbox"] = [value / 2 for value in row["bbox"]]


@pytest.mark.parametrize(
    ("spoil", "which"),
    [
        (zero_every_second, slice(None, None, 2)),
        (zero_all, slice(None)),
        (shift_all, slice(None)),
        (double_few, slice(5)),
    ],
)
def test_the_outline_counts_where_the_bbox_is_wrong(
    tmp_path: Path, spoil: Callable[[Rows], None], which: slice
) -> None:
    def change(content: dict[str, Any]) -> None:
        rows = [outlined(row) for row in content["annotations"]]
        spoil(rows)
        content["annotations"] = rows

    path, expected = coco(tmp_path, change)
    found = open_dataset(path)
    same_boxes(found, expected)
    rows = sum(len(image.classes_M) for image in expected.images)
    assert kinds(found)["label_bbox_wrong"] == len(range(rows)[which])


def test_the_bbox_counts_where_outlines_lie_beyond_the_image(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for row in map(outlined, content["annotations"]):
            row["segmentation"] = [[value * 3 for value in row["segmentation"][0]]]

    path, expected = coco(tmp_path, change)
    found = open_dataset(path)
    same_boxes(found, expected)
    assert "label_outline_wrong" in kinds(found)


def test_boxes_and_outlines_that_could_both_be_right_are_refused(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for row in map(outlined, content["annotations"]):
            row["bbox"] = [row["bbox"][0], row["bbox"][1], row["bbox"][2] / 3, row["bbox"][3] / 3]

    path, _ = coco(tmp_path, change)
    with pytest.raises(DatasetError, match="either could be right"):
        open_dataset(path)


def brush_all(rows: Rows) -> None:
    for row in rows:
        as_mask(row)


def brush_some_in_every_image(rows: Rows) -> None:
    for row in rows[::7]:
        as_mask(row)
    for row in rows:
        row["attributes"] = {"occluded": False}


def brush_one_image(rows: Rows) -> None:
    for row in rows:
        if row["image_id"] == rows[0]["image_id"]:
            as_mask(row)


def as_mask(row: dict[str, Any]) -> None:
    x, y, w, h = (round(value) for value in row["bbox"])
    counts = [x * 64 + y]
    for _ in range(w):
        counts += [h, 64 - h]
    counts[-1] += 64 * 96 - sum(counts)
    row |= {"iscrowd": 1, "segmentation": {"size": [64, 96], "counts": counts}, "bbox": [x, y, w, h]}


@pytest.mark.parametrize("brush", [brush_all, brush_some_in_every_image, brush_one_image])
def test_brush_masks_exported_as_crowds_are_objects(tmp_path: Path, brush: Callable[[Rows], None]) -> None:
    path, expected = coco(tmp_path, lambda content: brush(content["annotations"]))
    found = open_dataset(path)
    same_boxes(found, expected, tolerance=0.03)
    assert kinds(found)["label_crowd_used"] > 0
    assert "label_crowd" not in kinds(found)


@pytest.mark.parametrize("mark", [as_mask, lambda row: row.update(ignore=1)])
def test_a_crowd_or_an_ignored_region_is_left_out(
    tmp_path: Path, mark: Callable[[dict[str, Any]], None]
) -> None:
    path, _ = coco(tmp_path, lambda content: mark(content["annotations"][0]), boxes=3)
    found = open_dataset(path)
    assert kinds(found) == {"label_crowd": 1}
    assert [each.examples for each in found.defects] == [(f"{path.name}: 1 of 72 annotations",)]
    assert sum(len(image.classes_M) for image in found.images) == 24 * 3 - 1


def with_points(folder: Path, points: Callable[[float, float, float, float], list[float]]) -> Path:
    """The set with points behind each box, which nothing announces."""
    for path in (folder / "labels").rglob("*.txt"):
        rows = []
        for line in path.read_text().splitlines():
            x, y, w, h = map(float, line.split()[1:])
            rows.append(line + "".join(f" {value:.5f}" for value in points(x, y, w, h)))
        path.write_text("\n".join(rows))
    return folder


LANDMARKS = ((-0.2, -0.2), (0.2, -0.2), (0, 0), (-0.15, 0.25), (0.15, 0.25))
CORNERS = ((-0.5, -0.6), (0.6, -0.7), (0.7, 0.5), (-0.6, 0.6))


def landmarks(x: float, y: float, w: float, h: float) -> list[float]:
    if x < 0.4:
        return [-1.0] * 10  # unknown
    return [value for dx, dy in LANDMARKS for value in (x + dx * w, y + dy * h)]


def corners(x: float, y: float, w: float, h: float) -> list[float]:
    return [value for dx, dy in CORNERS for value in (x + dx * w, y + dy * h)]


def landmarks_of_some(x: float, y: float, w: float, h: float) -> list[float]:
    return [] if y < 0.5 else [value for dx, dy in LANDMARKS for value in (x + dx * w, y + dy * h)]


def visible_or_unknown(x: float, y: float, w: float, h: float) -> list[float]:
    return [-1.0, -1.0, -1.0] * 3 if x < 0.5 else [x, y, 2.0] * 3


@pytest.mark.parametrize("points", [landmarks, corners, landmarks_of_some, visible_or_unknown])
def test_points_after_the_box_are_no_polygon(tmp_path: Path, points: Any) -> None:
    with pytest.raises(WrongTaskError, match="keypoints"):
        open_dataset(with_points(yolo_set(tmp_path, images=24), points))


def test_polygons_of_six_vertices_everywhere_stay_polygons(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path, images=24)
    for path in (folder / "labels").rglob("*.txt"):
        rows = []
        for line in path.read_text().splitlines():
            c, x, y, w, h = map(float, line.split())
            hexagon = [(0, -0.5), (0.5, -0.2), (0.5, 0.2), (0, 0.5), (-0.5, 0.2), (-0.5, -0.2)]
            rows.append(f"{c:g}" + "".join(f" {x + dx * w:.5f} {y + dy * h:.5f}" for dx, dy in hexagon))
        path.write_text("\n".join(rows))
    assert open_dataset(folder).format == "yolo"


@pytest.mark.parametrize("over", [0.02, 0.2])
def test_vertices_over_the_edge_are_cut_like_boxes(tmp_path: Path, over: float) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, f"0 {-over} 0.2 {1 + over} 0.2 {1 + over} 0.6 {-over} 0.6 0.5 0.7\n")
    dataset = open_dataset(folder)
    assert kinds(dataset)["label_clipped"] == 1
    (image,) = (image for image in dataset.images if image.name.endswith("shape_0000.png"))
    assert image.boxes_M4[0].tolist() == pytest.approx([0.5, 0.45, 1.0, 0.5], abs=1e-5)


def other_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**mark, "label": "star"} for mark in row["annotations"]]


def same_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    return list(row["annotations"])


@pytest.mark.parametrize(("rows", "factor"), [(other_rows, 2), (same_rows, 1)])
def test_a_second_annotation_file_of_the_same_images_is_joined(
    tmp_path: Path, rows: Callable[[dict[str, Any]], Rows], factor: int
) -> None:
    folder = foreign.createml(tmp_path / "set", draw_images(12, ("circle", "square")), ("circle", "square"))
    expected = open_dataset(folder)
    lists = sorted(folder.rglob("*.json"))
    for path in lists:
        again = [{**row, "annotations": rows(row)} for row in json.loads(path.read_text())]
        path.with_name("again.json").write_text(json.dumps(again))
    found = open_dataset(folder)
    assert sum(len(i.classes_M) for i in found.images) == factor * sum(
        len(i.classes_M) for i in expected.images
    )
    assert ("image_listed_twice" in kinds(found)) == (factor == 2)


def test_two_xml_files_that_differ_about_an_image_are_refused(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=12)
    expected = open_dataset(folder)
    shutil.copytree(folder / "Annotations", folder / "Ann_backup")
    assert open_dataset(folder).content_hash == expected.content_hash
    xml = folder / "Ann_backup" / "shape_0003.xml"
    xml.write_text(re.sub("<name>.*?</name>", "<name>kat</name>", xml.read_text()))
    with pytest.raises(DatasetError, match=r"Ann_backup/shape_0003\.xml and .* differ"):
        open_dataset(folder)
