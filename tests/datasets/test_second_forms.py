"""Labels of two forms for the same images, and lists of names with numbers or comments in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from tests.datagen import make_dataset
from tests.datasets.helpers import kinds

NAMES = ("circle", "square")


def coco_beside_yolo(folder: Path, names: tuple[str, ...] = NAMES, *, described: bool = True) -> Path:
    """One set as YOLO and as COCO, whose categories are called by `names`."""
    root = make_dataset(folder / "set", format="yolo")
    coco = make_dataset(folder / "other", format="coco")
    for path in coco.rglob("*.json"):
        content = json.loads(path.read_text())
        for row in content["categories"]:
            row["name"] = names[NAMES.index(row["name"])]
        (root / path.name).write_text(json.dumps(content))
    if not described:
        (root / "data.yaml").unlink()
        (root / "classes.txt").write_text("\n".join(NAMES))
    return root


@pytest.mark.parametrize("described", [True, False])
def test_labels_of_two_forms_that_disagree_are_told(tmp_path: Path, described: bool) -> None:
    same = open_dataset(coco_beside_yolo(tmp_path / "same", described=described))
    assert kinds(same) == {}
    swapped = open_dataset(coco_beside_yolo(tmp_path / "swapped", NAMES[::-1], described=described))
    assert swapped.content_hash == same.content_hash
    assert kinds(swapped).keys() == {"labels_differ"}


def test_without_names_the_numbers_of_objects_are_compared(tmp_path: Path) -> None:
    root = coco_beside_yolo(tmp_path, NAMES[::-1], described=False)
    (root / "classes.txt").unlink()
    assert kinds(open_dataset(root)) == {"names_missing": 1}
    for path in root.rglob("labels/**/*.txt"):
        path.write_text(path.read_text() + "0 0.5 0.5 0.1 0.1\n")
    assert kinds(open_dataset(root)).keys() == {"names_missing", "labels_differ"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0: circle\n1: square\n", NAMES),
        ("0 circle\n1 square", NAMES),
        ("0, circle\n1, square", NAMES),
        ("# my classes\ncircle\nsquare\n", NAMES),
        ("1 circle\n2 square", ("1 circle", "2 square")),
        ("7 up\ncola", ("7 up", "cola")),
        ("#1\n#2", ("#1", "#2")),
    ],
)
def test_lists_of_names_may_hold_numbers_and_comments(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    root = make_dataset(tmp_path, format="yolo")
    (root / "data.yaml").unlink()
    (root / "classes.txt").write_text(text)
    assert open_dataset(root).class_names == names


def test_many_images_beside_those_of_the_splits_are_told(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, format="yolo")
    (root / "data.yaml").unlink()
    (root / "classes.txt").write_text("\n".join(NAMES))
    pictures = sorted(root.rglob("*.png"))
    (root / "more").mkdir()
    shutil.copy(pictures[0], root / "more" / "logo.png")
    assert kinds(open_dataset(root)) == {}
    for number, path in enumerate(pictures):
        shutil.copy(path, root / "more" / f"other_{number}.png")
    assert kinds(open_dataset(root)) == {"image_beside": len(pictures) + 1}
