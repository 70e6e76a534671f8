"""Classes, columns and files whose names say other things elsewhere: honest sets of them are read whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from recommender.datasets import open_dataset
from tests.datasets.helpers import kinds
from tests.datasets.test_classification import put
from tests.datasets.test_published_layouts import write


@pytest.mark.parametrize("breeds", [("lab", "poodle"), ("label", "plain")])
def test_a_breed_called_as_folders_of_masks_keeps_its_images(tmp_path: Path, breeds: tuple[str, str]) -> None:
    for breed in breeds:
        for number, path in enumerate(put(tmp_path / "dog" / breed, "dog", 4, start=10 * len(breed))):
            path.rename(path.with_name(f"{number}.png"))
    put(tmp_path / "cat" / "siamese", "cat", 4)
    found = open_dataset(tmp_path)
    assert (len(found.images), found.class_names) == (12, ("cat", "dog"))
    assert "mask_in_class" not in kinds(found)


@pytest.mark.parametrize("suffix", ["", "_mask"])
@pytest.mark.parametrize("folder", ["images", ""])
def test_masks_of_a_class_are_left_out_with_a_warning(tmp_path: Path, folder: str, suffix: str) -> None:
    for kind in ("cat", "dog"):
        for path in put(tmp_path / kind / folder, kind, 4):
            target = tmp_path / kind / "masks" / f"{path.stem}{suffix}.png"
            target.parent.mkdir(exist_ok=True)
            Image.open(path).rotate(90).save(target)
    found = open_dataset(tmp_path, task="classify")
    told = [defect for defect in found.defects if defect.kind == "mask_in_class"]
    assert (len(found.images), [(each.count, each.severity) for each in told]) == (8, [(8, "warning")])


@pytest.mark.parametrize("column", ["phase", "set"])
def test_a_column_of_classes_may_be_called_as_those_of_splits(tmp_path: Path, column: str) -> None:
    paths = put(tmp_path / "images", "cat", 8)
    rows = (f"{path.name},{('dissection', 'cleaning')[n % 2]}" for n, path in enumerate(paths))
    write(tmp_path / "labels.csv", f"frame,{column}", *rows)
    found = open_dataset(tmp_path)
    assert (len(found.images), found.class_names) == (8, ("cleaning", "dissection"))


@pytest.mark.parametrize(
    "classes",
    [
        ("other", "test strip", "valid strip"),
        ("toy_car", "toy_test", "toy_train"),
        ("model car", "model test", "model train"),
        ("labels", "no labels"),
        ("json", "xml"),
    ],
)
def test_classes_called_after_splits_and_annotations_are_classes(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    for number, name in enumerate(classes):
        put(tmp_path / name, "cat", 4, start=10 * number)
    found = open_dataset(tmp_path)
    assert (len(found.images), found.class_names, kinds(found)) == (4 * len(classes), classes, {})


def test_an_image_beside_class_folders_does_not_make_their_table_doubtful(tmp_path: Path) -> None:
    root = tmp_path / "set"  # the test's own name holds a word of splits
    rows = []
    for kind in ("cat", "dog"):
        for number, path in enumerate(put(root / kind, kind, 4)):
            path.rename(path.with_name(f"{number}.png"))
            rows.append(f"{number}.png,{kind}")
    put(root, "bird", 1)
    write(root / "labels.csv", "file,label", *rows)
    found = open_dataset(root)
    assert (len(found.images), kinds(found)) == (8, {"image_unclassified": 1})


def test_a_list_of_labels_may_be_called_partition(tmp_path: Path) -> None:
    paths = put(tmp_path / "images", "cat", 8)
    rows = (f"{path.name},{('cat', 'dog')[n % 2]}" for n, path in enumerate(paths))
    write(tmp_path / "labels_partition1.csv", "file,label", *rows)
    assert len(open_dataset(tmp_path).images) == 8


def test_images_called_by_number_signs_are_no_comments(tmp_path: Path) -> None:
    paths = [
        path.rename(path.with_name(f"#{n}.png")) for n, path in enumerate(put(tmp_path / "images", "cat", 8))
    ]
    rows = (f"{path.name} {n % 2}" for n, path in enumerate(paths))
    write(tmp_path / "train.txt", "# file and class", *rows)
    assert len(open_dataset(tmp_path).images) == 8


def test_lists_named_with_their_sizes_are_one_division(tmp_path: Path) -> None:
    names = [f"{kind}/{path.name}" for kind in ("cat", "dog") for path in put(tmp_path / kind, kind, 6)]
    write(tmp_path / "train_8.txt", *(name for n, name in enumerate(names) if n % 3))
    write(tmp_path / "test_4.txt", *names[::3])
    found = open_dataset(tmp_path)
    assert (sum(image.split == "test" for image in found.images), kinds(found)) == (4, {})
