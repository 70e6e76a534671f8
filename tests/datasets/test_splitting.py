"""The seeded split where the data set has none."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recommender.datasets import inspect_dataset, open_dataset
from recommender.datasets.splitting import keep_together, seeded_val, seeded_val_of_classes
from recommender.errors import DatasetError
from recommender.records import LabelledImage
from tests.datagen import make_dataset


def image(number: int, classes: list[int], digest: str | None = None) -> LabelledImage:
    return LabelledImage(
        path=Path(f"{number}.png"),
        name=f"{number}.png",
        split="train",
        width=10,
        height=10,
        sha256=digest or f"{number:064x}",
        classes_M=np.array(classes, np.int64),
        boxes_M4=np.full((len(classes), 4), 0.5, np.float32),
    )


def test_a_fifth_whatever_the_order(tmp_path: Path) -> None:
    images = [image(number, [number % 3]) for number in range(100)]
    val = seeded_val(images, 0)
    assert len(val) == 20
    assert seeded_val(images[::-1], 0) == val
    assert seeded_val(images, 1) != val
    counts = Counter(int(i.classes_M[0]) for i in images if i.sha256 in val)
    assert set(counts.values()) <= {6, 7}


def test_rare_classes_are_on_both_sides() -> None:
    images = [image(number, [0]) for number in range(90)] + [
        image(90 + k, [0, 1 + k // 2]) for k in range(10)
    ]
    val = seeded_val(images, 0)
    for rare in range(1, 6):
        sides = {each.sha256 in val for each in images if rare in each.classes_M}
        assert sides == {True, False}
    assert len(val) == 20


def test_copies_stay_together() -> None:
    images = [image(number, [0], digest=f"{number // 4:064x}") for number in range(40)]
    val = seeded_val(images, 0)
    assert len(val) == 2  # of ten different images


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=2, max_size=40), st.integers(0, 5))
@settings(deadline=None)
def test_both_sides_are_never_empty(classes: list[list[int]], seed: int) -> None:
    images = [image(number, present) for number, present in enumerate(classes)]
    val = seeded_val(images, seed)
    assert 1 <= len(val) <= max(1, int(0.3 * len(images)))
    assert val < {each.sha256 for each in images}


def test_the_seed_of_open_dataset_decides(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, format="yolo_flat", images=40)
    first, second = (open_dataset(folder, seed=seed) for seed in (0, 1))
    assert first.content_hash == open_dataset(folder, seed=0).content_hash
    assert first.content_hash != second.content_hash
    assert len(first.of_split("val")) == len(second.of_split("val")) == 8


def test_one_image_cannot_be_divided(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="train and val need one each"):
        open_dataset(make_dataset(tmp_path, format="yolo_flat", images=1))


def names(*numbers: int) -> list[str]:
    return [f"{number:064x}" for number in numbers]


def test_near_duplicates_end_on_one_side_and_val_keeps_its_size() -> None:
    groups = [names(2 * number, 2 * number + 1) for number in range(50)]
    val = keep_together(set(names(*range(0, 40, 2))), groups, 0)
    assert all(len(val.intersection(group)) in (0, 2) for group in groups)
    assert len(val) == 20
    assert keep_together(set(names(*range(0, 40, 2))), groups[::-1], 0) == val


def test_a_group_of_nearly_all_images_leaves_the_split_as_it_is() -> None:
    val = set(names(*range(20)))
    assert keep_together(val, [names(*range(95))], 0) == val


def test_no_group_changes_nothing() -> None:
    assert keep_together(set(names(1, 2)), [], 0) == set(names(1, 2))


@pytest.mark.slow
def test_near_duplicates_of_a_data_set_are_kept_together(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_flat", size=(320, 240), boxes=6, images=20)
    for path in sorted(folder.glob("*.png")):  # each picture a second time, encoded again
        with Image.open(path) as picture:
            picture.convert("RGB").save(folder / f"{path.stem}_again.jpg", quality=80)
        shutil.copy(path.with_suffix(".txt"), folder / f"{path.stem}_again.txt")
    splits: dict[str, set[str]] = defaultdict(set)
    dataset = open_dataset(folder)
    for one in dataset.images:
        splits[Path(one.name).stem.removesuffix("_again")].add(one.split)
    assert len(splits) == 20
    assert all(len(sides) == 1 for sides in splits.values())
    assert len(dataset.of_split("val")) == 8
    assert not [d for d in inspect_dataset(dataset).defects if d.kind.endswith("_leak")]


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_on_both_sides_and_groups_stay_whole(seed: int) -> None:
    sizes = {0: 40, 1: 12, 2: 2, 3: 8, 4: 1}
    images = [image(100 * kind + n, [kind]) for kind, size in sizes.items() for n in range(size)]
    digests = {kind: [i.sha256 for i in images if i.classes_M[0] == kind] for kind in sizes}
    groups = [digests[0][:5], digests[1][:9], digests[3], [digests[0][10], digests[1][11]]]
    val = seeded_val_of_classes(images, groups, seed)
    counts = {kind: len(val.intersection(own)) for kind, own in digests.items()}
    assert 5 <= counts[0] <= 12
    assert 1 <= counts[1] <= 3  # of a group of nine, two alone, and one that goes with class 0
    assert counts[2] == 1
    assert counts[3] == 2  # a film: divided by image
    assert counts[4] == 0
    for group in (*groups[:2], groups[3]):
        assert not val.intersection(group) or val.issuperset(group)
    assert seeded_val_of_classes(images[::-1], groups, seed) == val
