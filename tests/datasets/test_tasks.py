"""The task a data set is read for: asked for, or told by its labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recommender.datasets import export_yolo, inspect_dataset, open_dataset
from recommender.datasets.checks import quick_defects
from recommender.datasets.outlines import crosses_itself, draw_mask, joined, rings_of, rings_of_mask
from recommender.datasets.raw import RunLengths
from recommender.errors import WrongTaskError
from tests.datasets.helpers import kinds, yolo_set
from tests.datasets.outlined import SIDE, scenes, write_yolo_seg


def test_outlines_are_kept_for_segmentation_and_dropped_for_detection(tmp_path: Path) -> None:
    made = scenes()
    folder = write_yolo_seg(tmp_path / "set", made)
    boxes = open_dataset(folder, task="detect")
    outlined = open_dataset(folder, task="segment")
    assert (boxes.task, outlined.task) == ("detect", "segment")
    assert boxes.content_hash != outlined.content_hash
    assert all(image.polygons is None for image in boxes.images)
    assert "label_outline" in kinds(boxes)
    assert "label_outline" not in kinds(outlined)
    scene_of = {scene.name: scene for scene in made}
    for image, other in zip(outlined.images, boxes.images, strict=True):
        np.testing.assert_allclose(image.boxes_M4, other.boxes_M4, atol=1e-5)
        assert image.polygons is not None
        assert len(image.polygons) == len(image.classes_M) == 2
        for rings, (_, mask_HW) in zip(image.polygons, scene_of[image.path.stem].masks(), strict=True):
            drawn_HW = draw_mask(rings, *SIDE)
            assert (drawn_HW & (mask_HW > 0)).sum() > 0.85 * (drawn_HW | (mask_HW > 0)).sum()


def test_without_a_task_the_labels_decide(tmp_path: Path) -> None:
    found = open_dataset(write_yolo_seg(tmp_path / "set", scenes()))
    assert (found.task, kinds(found)["task_segment"]) == ("segment", 1)
    assert open_dataset(yolo_set(tmp_path / "boxes")).task == "detect"


def test_a_task_the_labels_do_not_serve_is_refused(tmp_path: Path) -> None:
    boxes = yolo_set(tmp_path / "boxes")
    with pytest.raises(WrongTaskError, match=r"no outline.*not instance segmentation"):
        open_dataset(boxes, task="segment")
    with pytest.raises(WrongTaskError, match="not one class for each image"):
        open_dataset(boxes, task="classify")
    with pytest.raises(WrongTaskError, match="no image classification"):
        open_dataset(boxes / "data.yaml", task="classify")


def test_upright_rectangles_are_no_outlines(tmp_path: Path) -> None:
    folder = write_yolo_seg(tmp_path / "set", scenes())
    for label in (folder / "labels").rglob("*.txt"):
        label.write_text("0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6\n")
    with pytest.raises(WrongTaskError, match="no outline"):
        open_dataset(folder, task="segment")
    found = open_dataset(folder)
    assert found.task == "detect"
    assert "outline_rectangle" in kinds(found)
    assert "label_outline" not in kinds(found)  # its remedy, --task segment, is refused


def test_boxes_among_outlines_count_as_their_rectangles_and_are_told(tmp_path: Path) -> None:
    folder = write_yolo_seg(tmp_path / "set", scenes())
    label = folder / "labels" / "train" / "scene_0.txt"
    label.write_text(label.read_text() + "1 0.5 0.5 0.2 0.2\n")
    found = open_dataset(folder, task="segment")
    assert kinds(found)["label_no_outline"] == 1
    image = next(image for image in found.images if image.path.stem == "scene_0")
    assert image.polygons is not None
    np.testing.assert_allclose(image.polygons[2][0].max(axis=0), (0.6, 0.6), atol=1e-6)


def test_masks_with_holes_and_parts_survive_tracing_and_joining() -> None:
    mask_HW = np.zeros((40, 60), bool)
    mask_HW[5:25, 5:30] = True
    mask_HW[10:15, 10:20] = False  # a hole
    mask_HW[30:38, 40:58] = True  # a part of its own
    mask_HW[0, 59] = True  # one pixel
    rings = tuple(ring / np.array([60, 40]) for ring in rings_of_mask(mask_HW))
    np.testing.assert_array_equal(draw_mask(rings, 60, 40), mask_HW)
    by_line = draw_mask([joined(rings)], 60, 40)
    assert (by_line != mask_HW).sum() <= 40  # the bridges are a pixel wide
    assert not by_line[11:14, 12:18].any()


def test_run_lengths_are_columns_from_the_left() -> None:
    rings = rings_of(RunLengths(runs=[4 * 10 + 2, 5, 5, 5, 3], width=6, height=10))
    (ring,) = rings
    assert ring.min(axis=0).tolist() == [4.25, 2.25]
    assert ring.max(axis=0).tolist() == [5.75, 6.75]


def test_the_export_of_outlines_is_read_back_as_it_was(tmp_path: Path) -> None:
    found = open_dataset(write_yolo_seg(tmp_path / "set", scenes()), task="segment")
    again = open_dataset(export_yolo(found, tmp_path / "out"), task="segment")
    assert again.class_names == found.class_names
    for image, copy in zip(found.images, again.images, strict=True):
        assert image.polygons is not None
        assert copy.polygons is not None
        for rings, others in zip(image.polygons, copy.polygons, strict=True):
            np.testing.assert_array_equal(draw_mask(rings, *SIDE), draw_mask(others, *SIDE))


def test_broken_outlines_are_told(tmp_path: Path) -> None:
    folder = write_yolo_seg(tmp_path / "set", scenes())
    rows = {
        "scene_0": "0 0.1 0.1 0.5 0.5 0.5 0.1 0.1 0.5",  # a bow tie
        "scene_1": "0 0.8 0.1 1.2 0.1 1.2 0.5 0.9 0.6",  # half outside
        "scene_2": "0 1.1 0.1 1.3 0.1 1.2 0.5\n1 0.1 0.1 0.3 0.1 0.2 0.3",  # the first wholly outside
        "scene_4": "0 0.1 0.1 0.2 0.2 0.3 0.3 0.1 0.1\n1 0.1 0.1 0.3 0.1 0.2 0.3",  # the first is a line
    }
    for stem, row in rows.items():
        (folder / "labels" / "train" / f"{stem}.txt").write_text(row + "\n")
    found = open_dataset(folder, task="segment")
    assert kinds(found) == {"label_clipped": 1, "label_no_area": 2}
    assert {d.kind: d.count for d in inspect_dataset(found).defects}["outline_crossing"] == 1
    assert "outline_crossing" in {defect.kind for defect in quick_defects(found)}
    image = next(image for image in found.images if image.path.stem == "scene_1")
    assert image.polygons is not None
    assert image.polygons[0][0].max() == 1.0
    np.testing.assert_allclose(image.boxes_M4[0], (0.9, 0.35, 0.2, 0.5), atol=1e-6)


@pytest.mark.parametrize(("points", "crosses"), [(5, False), (5, True), (400, False), (4000, False)])
def test_crossings(points: int, crosses: bool) -> None:
    turn = np.linspace(0, 2 * np.pi * (2 if crosses else 1), points, endpoint=False)
    star = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    assert crosses_itself(star) == crosses
    assert crosses_itself(np.concatenate([star, star[:1]])) == crosses
