"""Defects of a data set stand among the warnings of every answer about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from recommender import recommend
from recommender.datasets import inspect_dataset, open_dataset
from recommender.profile.known import known_profile
from recommender.profile.notices import dataset_notices
from recommender.records import Recommendation
from recommender.report.document import document
from recommender.store import Store
from tests.datagen import make_dataset
from tests.datasets.helpers import write_rows


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Val images that are train's own, exactly and encoded again; boxes over the edge; a class without boxes."""
    folder = make_dataset(tmp_path / "faulty", size=(320, 240), boxes=6, images=16)
    images, labels = folder / "images", folder / "labels"
    shutil.copy(images / "train" / "shape_0000.png", images / "val" / "copy.png")
    shutil.copy(labels / "train" / "shape_0000.txt", labels / "val" / "copy.txt")
    Image.open(images / "train" / "shape_0001.png").convert("RGB").save(images / "val" / "again.jpg")
    shutil.copy(labels / "train" / "shape_0001.txt", labels / "val" / "again.txt")
    write_rows(folder, 2, "0 0.95 0.5 0.3 0.3\n1 0.5 0.5 0.2\n")
    yaml = folder / "data.yaml"
    text = yaml.read_text().replace("nc: 2", "nc: 3")
    yaml.write_text(text.replace("]", ", unused]") if "]" in text else text + "  2: unused\n")
    return folder


@pytest.mark.slow
def test_every_error_and_warning_of_inspect_is_told(faulty: Path, home: Path) -> None:
    dataset = open_dataset(faulty)
    inspected = {d.kind for d in inspect_dataset(dataset).defects if d.severity != "info"}
    assert {
        "exact_duplicate_leak",
        "near_duplicate_leak",
        "label_clipped",
        "label_columns",
        "class_empty",
    } <= inspected
    with Store() as store:
        notices = dataset_notices(dataset, known_profile(dataset, store))
    assert {notice.code for notice in notices} == inspected
    (near,) = (notice.message for notice in notices if notice.code == "near_duplicate_leak")
    assert near.startswith("1 of ")
    (columns,) = (notice.message for notice in notices if notice.code == "label_columns")
    assert "shape_0002.txt:2" in columns
    assert "drop extra columns" in columns


def test_a_renamed_copy_of_a_known_set_has_the_same_leaks(faulty: Path, home: Path, tmp_path: Path) -> None:
    with Store() as store:
        first = dataset_notices(open_dataset(faulty), known_profile(open_dataset(faulty), store))
        renamed = tmp_path / "renamed"
        shutil.copytree(faulty, renamed)
        for number, path in enumerate(sorted((renamed / "images" / "train").iterdir(), reverse=True)):
            label = renamed / "labels" / "train" / f"{path.stem}.txt"
            path.rename(path.with_name(f"n{number:03d}{path.suffix}"))
            label.rename(label.with_name(f"n{number:03d}.txt"))
        other = open_dataset(renamed)
        second = dataset_notices(other, known_profile(other, store))
    near = [[n.message for n in notices if n.code == "near_duplicate_leak"] for notices in (first, second)]
    assert near[0] == near[1] != []
    assert "val images looks like images of train" in near[0][0]  # one of them does


@pytest.mark.slow
def test_a_clean_set_has_no_notice(home: Path, tmp_path: Path) -> None:
    dataset = open_dataset(make_dataset(tmp_path / "clean", size=(320, 240), boxes=6, images=16))
    with Store() as store:
        assert dataset_notices(dataset, known_profile(dataset, store)) == ()


def test_polygons_taken_as_boxes_are_said(home: Path, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "outlines", images=12)
    for number in range(9):
        write_rows(folder, number, "0 0.2 0.2 0.5 0.3 0.4 0.7 0.1 0.6 0.1 0.3\n")
    dataset = open_dataset(folder)
    with Store() as store:
        notices = dataset_notices(dataset, known_profile(dataset, store))
    assert [n.code for n in notices if n.code == "label_outline"] == ["label_outline"]


@pytest.fixture
def answer(faulty: Path, home: Path) -> Recommendation:
    return recommend(faulty, offline=True, max_feature_candidates=0, epochs=5, imgsz=64)


def test_the_answer_tells_them_in_both_forms(answer: Recommendation) -> None:
    codes = {notice.code for notice in answer.warnings}
    assert {"exact_duplicate_leak", "near_duplicate_leak", "label_columns", "class_empty"} <= codes
    assert {part.code for part in document(answer).warnings} == codes
