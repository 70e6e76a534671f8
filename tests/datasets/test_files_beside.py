"""Predictions, exports and trainings that lie in a data set's folder, and labels called as other files are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from recommender.datasets import export_yolo, open_dataset
from recommender.errors import DatasetError, WrongTaskError
from tests.datagen import draw_images, make_dataset
from tests.datasets import foreign
from tests.datasets.helpers import kinds

RESULT = {"image_id": 1, "category_id": 0, "bbox": [1, 2, 3, 4], "score": 0.5}


def scored(value: float) -> dict[str, Any]:
    """COCO of the drawn set's images, each with one box and a score."""
    names = [f"shape_{number:04d}.png" for number in range(12)]
    return {
        "images": [{"id": n, "file_name": name, "width": 96, "height": 64} for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 0, "bbox": [1, 1, 4, 4], "score": value}
            for n in range(12)
        ],
        "categories": [{"id": 0, "name": "circle"}],
    }


@pytest.mark.parametrize("content", [[RESULT], scored(0.3)])
def test_predictions_are_no_labels(tmp_path: Path, content: Any) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=12)
    expected = open_dataset(folder)
    (folder / "predictions.json").write_text(json.dumps(content))
    assert open_dataset(folder).content_hash == expected.content_hash
    shutil.rmtree(folder / "Annotations")
    for place in (folder, folder / "predictions.json"):
        with pytest.raises(WrongTaskError, match="a detector's results"):
            open_dataset(place)


def test_a_score_of_one_for_each_is_an_annotation(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=12)
    shutil.rmtree(folder / "Annotations")
    (folder / "labels.json").write_text(json.dumps(scored(1.0)))
    assert len(open_dataset(folder).images) == 12


def test_what_programs_wrote_into_the_folder_is_not_read(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_flat", images=12)
    expected = open_dataset(folder)
    image = next(folder.glob("*.png"))
    exported = folder / "set-yolo"
    export_yolo(expected, exported, splits=("train", "val"))
    for name in ("runs/detect/train/args.yaml", "comparison-set/report.json"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("{}")
        shutil.copy(image, (folder / name).parent / "mosaic.png")
    (folder / "comparison-set" / "predictions").mkdir()
    (folder / "comparison-set" / "predictions" / "labels.json").write_text(json.dumps(scored(0.3)))
    found = open_dataset(folder)
    assert found.content_hash == expected.content_hash
    assert kinds(found) == kinds(expected)
    itself = open_dataset(exported)
    assert len(itself.images) == len(expected.images)
    export_yolo(expected, tmp_path / "wrapped" / "set-yolo", splits=("train", "val"))
    assert open_dataset(tmp_path / "wrapped").content_hash == itself.content_hash
    (tmp_path / "other").mkdir()  # within the allowed folder, not the data set's
    beside = open_dataset(tmp_path / "wrapped", allowed_roots=(tmp_path,))
    assert beside.content_hash == itself.content_hash


@pytest.mark.parametrize("form", ["voc", "createml"])
def test_fractions_where_a_format_has_pixels_are_refused(tmp_path: Path, form: str) -> None:
    names = ("circle", "square")
    if form == "createml":
        folder = foreign.createml(tmp_path / "set", draw_images(12, names), names)
        for path in folder.rglob("*.json"):
            rows = json.loads(path.read_text())
            for box in (mark["coordinates"] for row in rows for mark in row["annotations"]):
                box.update(x=0.5, y=0.4, width=0.2, height=0.3)
            path.write_text(json.dumps(rows))
    else:
        folder = make_dataset(tmp_path / "set", format="voc", images=12)
        box = "<xmin>0.1</xmin><ymin>0.2</ymin><xmax>0.5</xmax><ymax>0.6</ymax>"
        for path in folder.rglob("*.xml"):
            head = path.read_text().partition("<object>")[0]
            path.write_text(f"{head}<object><name>a</name><bndbox>{box}</bndbox></object></annotation>")
    with pytest.raises(DatasetError, match="every box is a fraction"):
        open_dataset(folder)


def test_folders_in_capitals(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout", images=12)
    expected = open_dataset(folder)
    (folder / "images").rename(folder / "IMAGES")
    (folder / "labels").rename(folder / "LABELS")
    assert open_dataset(folder).content_hash == expected.content_hash


@pytest.mark.parametrize("name", ["test", "labels", "notes"])
def test_a_picture_called_as_a_list_keeps_its_labels(tmp_path: Path, name: str) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout", images=12)
    expected = open_dataset(folder)
    next(folder.rglob("shape_0000.png")).rename(folder / "images" / "train" / f"{name}.png")
    next(folder.rglob("shape_0000.txt")).rename(folder / "labels" / "train" / f"{name}.txt")
    found = open_dataset(folder)
    assert kinds(found) == {}
    assert sum(len(i.classes_M) for i in found.images) == sum(len(i.classes_M) for i in expected.images)
    assert found.class_names == expected.class_names
