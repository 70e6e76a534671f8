"""Classes called by numbers take their names from a table beside them, where it is clear; else that is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.records import Dataset

NAMES = {0: "daisy", 1: "rose", 2: "tulip", 10: "lily"}
IMAGES = {0: 2, 1: 3, 2: 4, 10: 5}  # another number of images in each folder: names cannot be mixed up unseen


def folders(root: Path, images: Mapping[int, int] = IMAGES) -> Path:
    """Class folders called by numbers."""
    rng = np.random.default_rng(0)
    for number, count in images.items():
        for index in range(count):
            path = root / str(number) / f"{number}-{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
    return root


def counted(dataset: Dataset) -> dict[str, int]:
    """Images of each class by its name."""
    return dict(Counter(dataset.class_names[label] for one in dataset.images for label in one.classes_M))


def told(dataset: Dataset) -> set[str]:
    """The kinds of notices about names."""
    return {defect.kind for defect in dataset.defects if defect.kind.startswith("names_")}


RIGHT = {
    "cat_to_name.json": json.dumps({str(number): name for number, name in NAMES.items()} | {"3": "other"}),
    "label_map.json": json.dumps({name: number for number, name in NAMES.items()}),
    "imagenet_class_index.json": json.dumps({str(n): [f"n0000000{n}", name] for n, name in NAMES.items()}),
    "config.json": json.dumps({"model": "vit", "id2label": {str(n): name for n, name in NAMES.items()}}),
    "categories.json": json.dumps([{"id": number, "name": name} for number, name in NAMES.items()]),
    "labels.csv": "id,name\n" + "".join(f"{number},{name}\n" for number, name in NAMES.items()),
    "meta.csv": "ClassId,ShapeId,SignName\n" + "".join(f"{n},{n % 2},{name}\n" for n, name in NAMES.items()),
    "map.tsv": "".join(f"{name}\t{number}\n" for number, name in NAMES.items()),
    "classes.txt": "".join(f"{number}: {name}\n" for number, name in NAMES.items()),
    "labels.txt": "daisy\nrose\ntulip\na\nb\nc\nd\ne\nf\ng\nlily\n",  # from 0 to 10, one a line
}


@pytest.mark.parametrize("file", RIGHT)
def test_a_table_names_the_numbers(tmp_path: Path, file: str) -> None:
    (folders(tmp_path) / file).write_text(RIGHT[file], "utf-8")
    found = open_dataset(tmp_path)
    assert found.class_names == ("daisy", "lily", "rose", "tulip")
    assert counted(found) == {NAMES[number]: count for number, count in IMAGES.items()}
    assert told(found) == {"names_from_table"}
    (notice,) = (defect for defect in found.defects if defect.kind == "names_from_table")
    assert notice.severity == "warning"
    assert notice.examples == (f"{file}: 0 is daisy, 1 is rose, 2 is tulip",)


DOUBTFUL: dict[str, Sequence[tuple[str, str]]] = {
    "a number lacks": [("labels.csv", "id,name\n0,daisy\n1,rose\n2,tulip\n")],
    "a name comes twice": [("labels.csv", "id,name\n0,daisy\n1,daisy\n2,tulip\n10,lily\n")],
    "two tables differ": [
        ("labels.csv", "id,name\n0,rose\n1,daisy\n2,tulip\n10,lily\n"),
        ("label_map.json", RIGHT["label_map.json"]),
    ],
    "a list of as many names": [("classes.txt", "daisy\nrose\ntulip\nlily\n")],
}


@pytest.mark.parametrize("files", DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_is_doubtful_is_told_and_numbers_stay(tmp_path: Path, files: Sequence[tuple[str, str]]) -> None:
    folders(tmp_path)
    for name, content in files:
        (tmp_path / name).write_text(content, "utf-8")
    found = open_dataset(tmp_path)
    assert found.class_names == ("0", "1", "10", "2")
    assert told(found) == {"names_doubtful"}


OF_OTHER_THINGS = {
    "train.csv": "index,filename\n" + "".join(f"{index},0-{index}.png\n" for index in range(20)),
    "patients.csv": "id,name,age\n"
    + "".join(f"{index},Patient {index},{30 + index % 3}\n" for index in range(60)),
    "classes.txt": "0\n1\n2\n10\n",
    "notes.txt": "daisy\nrose\ntulip\nlily\n",
    "settings.json": '{"0": 1, "1": 2, "2": [], "10": {}}',
    "labels.json": "{",
    "LICENCE.txt": f'Free, for all\n"{"x" * 140_000}\n',  # a quote that never ends
    "versions.json": '{"split_ids": {"train": 0, "val": 1, "test": 2, "all": 10}}',
    "support.csv": "path,label\n0/0-0.png,0\n1/1-0.png,1\n2/2-0.png,2\n10/10-0.png,10\n",
}


@pytest.mark.parametrize("file", OF_OTHER_THINGS)
def test_other_tables_name_nothing(tmp_path: Path, file: str) -> None:
    (folders(tmp_path) / file).write_text(OF_OTHER_THINGS[file], "utf-8")
    found = open_dataset(tmp_path)
    assert found.class_names == ("0", "1", "10", "2")
    assert not told(found)


@pytest.mark.parametrize("first", [0, 1])
def test_a_list_begins_where_the_numbers_do(tmp_path: Path, first: int) -> None:
    folders(tmp_path, {first: 2, first + 1: 3, first + 2: 4})
    (tmp_path / "classes.txt").write_text("daisy\nrose\ntulip\n", "utf-8")
    assert counted(open_dataset(tmp_path)) == {"daisy": 2, "rose": 3, "tulip": 4}


def test_numbers_in_a_csv_are_named_too(tmp_path: Path) -> None:
    folders(tmp_path / "photos", {7: 12})
    rows = [f"7-{index}.png,{index % 3}" for index in range(12)]
    (tmp_path / "train.csv").write_text("\n".join(["image_id,label", *rows]), "utf-8")
    (tmp_path / "label_num_to_disease_map.json").write_text('{"0": "rust", "1": "blight", "2": "healthy"}')
    for place in (tmp_path, tmp_path / "train.csv"):
        found = open_dataset(place)
        assert counted(found) == {"rust": 4, "blight": 4, "healthy": 4}
        assert told(found) == {"names_from_table"}


def test_names_in_words_need_no_table(tmp_path: Path) -> None:
    folders(tmp_path, {0: 3, 1: 3})
    (tmp_path / "1").rename(tmp_path / "rose")
    (tmp_path / "classes.txt").write_text("0: daisy\n1: tulip\n", "utf-8")
    assert open_dataset(tmp_path).class_names == ("0", "rose")
