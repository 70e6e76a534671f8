"""D6: broken labels are counted by kind, and above a threshold the set is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from tests.datasets.helpers import kinds, tree_digest, write_rows, yolo_set

GOOD = "1 0.5 0.5 0.2 0.2\n"
BROKEN = {
    "label_not_number": "car 0.5 0.5 0.2 0.2",
    "label_not_finite": "0 nan 0.5 0.2 inf",
    "label_columns": "0 0.5 0.5 0.2",
    "label_class_fraction": "0.5 0.5 0.5 0.2 0.2",
    "label_class_negative": "-1 0.5 0.5 0.2 0.2",
    "label_class_unknown": "2 0.5 0.5 0.2 0.2",
    "label_negative": "0 0.5 0.5 -0.2 0.2",
    "label_out_of_range": "0 1.3 0.5 0.2 0.2",
    "label_in_pixels": "0 48 40 20 20",
    "label_zero_area": "0 0.5 0.5 0 0.2",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_each_kind_is_counted_and_only_its_row_lost(tmp_path: Path, kind: str) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, f"{GOOD}{BROKEN[kind]}\n")
    before = tree_digest(folder)
    dataset = open_dataset(folder)
    assert kinds(dataset) == {kind: 1}
    (defect,) = dataset.defects
    assert defect.severity == "error"
    assert "shape_0000" in defect.examples[0]
    assert dataset.of_split("train")[0].classes_M.tolist() == [1]
    assert len(dataset.images) == 12
    assert tree_digest(folder) == before


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("0 0.5", "label_columns"),
        ("0 0.5 0.5 0.2 0.2 0.9", "label_columns"),  # a confidence
        ("0 0.5 0.5 0.2 0.2 0.9 0.1 0.1", "label_columns"),
        ("1e300 0.5 0.5 0.2 0.2", "label_class_unknown"),
        ("9" * 400 + " 0.5 0.5 0.2 0.2", "label_not_finite"),
        ("0 -0.5 0.5 0.2 0.2", "label_negative"),
        ("0 0.1 0.1 0.9 0.1 5 7", "label_in_pixels"),
        ("0 0.1 0.1 0.1 0.5 0.1 0.9", "label_zero_area"),  # a polygon without width
        ("\0 \x1b[31m 0 0 0", "label_not_number"),
    ],
)
def test_odd_rows(tmp_path: Path, row: str, kind: str) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, f"{GOOD}{row}\n")
    dataset = open_dataset(folder)
    assert {k: n for k, n in kinds(dataset).items() if k != "label_outline"} == {kind: 1}
    assert dataset.defects[0].examples[0].isprintable()


def test_non_utf8_file_costs_its_image(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, b"\xff\xfe0 0.5 0.5 0.2 0.2\n")
    dataset = open_dataset(folder)
    assert kinds(dataset) == {"label_not_utf8": 1, "image_unlabelled": 1}
    assert len(dataset.images) == 11  # as background it would teach the wrong thing


def test_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, b"\xef\xbb\xbf1 0.5 0.5 0.2 0.2\r\n\r\n  0 .25 .25 1e-1 .1  \r\n")
    dataset = open_dataset(folder)
    assert kinds(dataset) == {}
    assert dataset.of_split("train")[0].classes_M.tolist() == [1, 0]


def test_boxes_over_the_edge_are_cut(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, "0 0.95 0.5 0.2 0.2\n1 1.005 0.5 0.1 0.1\n")
    dataset = open_dataset(folder)
    assert kinds(dataset) == {"label_clipped": 2}
    boxes_M4 = dataset.of_split("train")[0].boxes_M4
    np.testing.assert_allclose(boxes_M4[0], [0.925, 0.5, 0.15, 0.2], atol=1e-6)
    assert (boxes_M4[:, :2] + boxes_M4[:, 2:] / 2).max() <= 1 + 1e-6


def test_duplicate_rows_count_once(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, GOOD + GOOD + "0 0.5 0.5 0.2 0.2\n")
    dataset = open_dataset(folder)
    assert kinds(dataset) == {"label_duplicate": 1}
    assert dataset.of_split("train")[0].classes_M.tolist() == [1, 0]


def test_mostly_broken_labels_refuse_the_set_and_count_every_kind(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path, images=24)
    rows = list(BROKEN.values())
    for number in range(16):
        write_rows(folder, number, GOOD + "\n".join(rows[(number + k) % len(rows)] for k in range(9)) + "\n")
    write_rows(folder, 16, b"\xff\xff")
    with pytest.raises(DatasetError) as caught:
        open_dataset(folder)
    for kind in [*BROKEN, "label_not_utf8"]:
        assert kind in str(caught.value)
    assert "20%" in str(caught.value)


def test_a_few_broken_rows_do_not_refuse_a_tiny_set(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path, images=4)
    write_rows(folder, 0, GOOD + BROKEN["label_columns"])
    write_rows(folder, 1, GOOD + BROKEN["label_columns"])
    assert kinds(open_dataset(folder)) == {"label_columns": 2}


def test_pixel_coordinates_name_their_remedy(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    for number in range(9):
        write_rows(folder, number, "0 48 40 20 20\n")
    with pytest.raises(DatasetError, match="Divide x and w by the image's width"):
        open_dataset(folder)


def test_class_ids_beyond_the_names_are_not_lost_silently(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    for number in range(9):
        write_rows(folder, number, "1 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.3 0.3\n")
    with pytest.raises(DatasetError, match=r"label_class_unknown 9.*class 2, known are 0 … 1"):
        open_dataset(folder)
