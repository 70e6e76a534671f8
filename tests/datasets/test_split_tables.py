"""Tables in many files, and what divides their images: names of files and folders, columns, lists, folds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.datasets.formats import SAMPLED
from recommender.errors import DatasetError
from recommender.records import SPLITS
from tests.datasets.helpers import kinds
from tests.datasets.test_box_tables import NAMES, boxes_of, images
from tests.datasets.test_table_doubts import HEADING, line_of, write

CVAT = (
    '<annotations><version>1.1</version><image id="0" name="{}" width="96" height="80">'
    '<box label="cat" xtl="10" ytl="10" xbr="60" ybr="70"/></image></annotations>'
)


@pytest.mark.parametrize("form", ["tables", "CVAT"])
def test_files_beyond_those_that_tell_the_form_are_read_too(tmp_path: Path, form: str) -> None:
    names = images(tmp_path / "images", SAMPLED + 3)
    (tmp_path / "labels").mkdir()
    for number, name in enumerate(names):
        if form == "CVAT":
            (tmp_path / "labels" / f"{number:02d}.xml").write_text(CVAT.format(name))
        else:
            rows = [line_of(name, *each) for each in boxes_of(number)]
            write(tmp_path / "labels", HEADING, rows, f"{number:02d}.csv")
    found = open_dataset(tmp_path)
    assert {image.path.name for image in found.images if len(image.classes_M)} == set(names)
    assert kinds(found) == {}


@pytest.mark.parametrize("form", ["boxes", "classes", "CreateML", "COCO"])
def test_folders_of_images_say_more_than_one_around_the_table(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "training_data"
    names = images(folder / "train")
    (folder / "test").mkdir()
    for name in names[18:]:
        (folder / "train" / name).rename(folder / "test" / name)
    boxed = [(name, *boxes_of(n)[n % 3]) for n, name in enumerate(names)]
    if form == "boxes":
        write(folder, HEADING, [line_of(*row) for row in boxed])
    elif form == "classes":
        write(folder, "filename,label", [f"{name},{NAMES[n % 2]}" for n, name in enumerate(names)])
    elif form == "COCO":
        listed = [{"id": n, "file_name": name, "width": 96, "height": 80} for n, name in enumerate(names)]
        drawn = [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [10, 10, 50, 60]} for n in range(len(names))
        ]
        whole = {"images": listed, "annotations": drawn, "categories": [{"id": 1, "name": "cat"}]}
        (folder / "labels.json").write_text(json.dumps(whole))
    else:
        place = {"x": 40, "y": 40, "width": 30, "height": 30}
        things = [
            {"image": name, "annotations": [{"label": label, "coordinates": place}]}
            for name, label, _ in boxed
        ]
        (folder / "labels.json").write_text(json.dumps(things))
    found = open_dataset(tmp_path)
    assert {image.path.name for image in found.of_split("test")} == set(names[18:])
    assert len(found.of_split("train")) + len(found.of_split("val")) == 18


@pytest.mark.parametrize("boxes", [True, False])
def test_the_folder_of_a_table_divides_images_that_lie_apart(tmp_path: Path, boxes: bool) -> None:
    folder = tmp_path / "test_data"
    names = images(folder / "images")
    for split, share in (("train", slice(18)), ("val", slice(18, None))):
        rows = [line_of(name, NAMES[n % 2], boxes_of(n)[1][1]) for n, name in enumerate(names)][share]
        short = [",".join(row.split(",")[:2]) for row in rows]
        heading = HEADING if boxes else "filename,class"
        write(folder / "annotations" / split, heading, rows if boxes else short)
    found = open_dataset(tmp_path)
    assert [len(found.of_split(split)) for split in ("train", "val", "test")] == [18, 6, 0]


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize(
    ("headings", "flags", "counts"),
    [
        ("is_valid", lambda n: f"{n >= 18}", (18, 6, 0)),
        ("is_val", lambda n: f"{int(n >= 18)}", (18, 6, 0)),
        ("is_train,is_val", lambda n: f"{int(n < 12)},{int(12 <= n < 18)}", (12, 6, 6)),
        ("is_valid,is_test", lambda n: f"{12 <= n < 18},{n >= 18}", (12, 6, 6)),
        ("is_valid", lambda n: f"{n != 3}", None),  # sound
    ],
)
def test_flags_divide_the_images(
    tmp_path: Path, headings: str, flags: Callable[[int], str], counts: tuple[int, ...] | None, boxes: bool
) -> None:
    names = images(tmp_path / "images")
    rows = [f"{line_of(name, NAMES[n % 2], boxes_of(n)[1][1])},{flags(n)}" for n, name in enumerate(names)]
    if not boxes:
        rows = [f"{name},{n % 2 if counts else NAMES[n % 2]},{flags(n)}" for n, name in enumerate(names)]
    found = open_dataset(write(tmp_path, f"{HEADING if boxes else 'fname,labels'},{headings}", rows))
    assert len(found.class_names) == 2
    assert (found.split_origin == "given") == (counts is not None)
    if counts:
        assert tuple(len(found.of_split(split)) for split in SPLITS) == counts
        assert {image.path.name for image in found.of_split("train")} == set(names[: counts[0]])


@pytest.mark.parametrize("words", ["train val eval", "train validation evaluation", "train test holdout"])
def test_two_words_for_one_split_are_asked_about(tmp_path: Path, words: str) -> None:
    named = words.split()
    rows = [f"{name},{NAMES[n % 2]},{named[n % 3]}" for n, name in enumerate(images(tmp_path / "images"))]
    with pytest.raises(DatasetError, match=f"which split is '{named[2]}'"):
        open_dataset(write(tmp_path, "filename,label,split", rows))
    rows = [row.replace(f",{named[1]}", f",{named[2]}") for row in rows]
    found = open_dataset(write(tmp_path, "filename,label,split", rows))
    held = {image.path.name for image in found.of_split("test" if "test" in named else "val")}
    assert held == {row.split(",")[0] for row in rows if row.endswith(named[2])}


@pytest.mark.parametrize("boxes", [True, False])
def test_a_column_called_split_says_only_splits(tmp_path: Path, boxes: bool) -> None:
    rows = [
        f"{line_of(name, NAMES[n % 2], boxes_of(n)[1][1]) if boxes else name + ',' + NAMES[n % 2]},"
        f"{'hidden' if n % 8 else 'train'}"
        for n, name in enumerate(images(tmp_path / "images"))
    ]
    write(tmp_path, f"{HEADING if boxes else 'filename,label'},split", rows)
    with pytest.raises(DatasetError, match="which split is 'hidden'"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("given", ["", "train_fold2.csv"])
def test_of_folds_one_is_read(tmp_path: Path, given: str, boxes: bool) -> None:
    names = images(tmp_path / "images")
    boxed = [line_of(name, NAMES[n // 4 % 2], boxes_of(n)[1][1]) for n, name in enumerate(names)]
    rows = boxed if boxes else [",".join(row.split(",")[:2]) for row in boxed]
    for fold in (1, 2, 3, 4):
        parts = {"train": rows.copy(), "val": rows[fold - 1 :: 4]}
        del parts["train"][fold - 1 :: 4]
        for split, lines in parts.items():
            write(tmp_path, HEADING if boxes else "filename,label", lines, f"{split}_fold{fold}.csv")
    found = open_dataset(tmp_path / given)
    number = int(given[-5]) - 1 if given else 0
    assert not {image.path.name for image in found.of_split("train")} & set(names[number::4])
    if boxes or not given:
        assert {image.path.name for image in found.of_split("val")} == set(names[number::4])
        assert kinds(found) == ({} if given else {"splits_first": 1})


def test_numbered_parts_of_a_set_are_all_read(tmp_path: Path) -> None:
    names = images(tmp_path / "images")
    rows = [line_of(name, NAMES[n % 2], boxes_of(n)[1][1]) for n, name in enumerate(names)]
    for number, title in enumerate(("train_1", "train_2", "val_1", "val_2")):
        write(tmp_path, HEADING, rows[6 * number : 6 * number + 6], f"{title}.csv")
    found = open_dataset(tmp_path)
    assert [len(found.of_split(split)) for split in ("train", "val")] == [12, 12]
    assert kinds(found) == {}


@pytest.mark.parametrize("heading", ["filename", "photo_000.png"])
def test_lists_in_csv_divide_the_images_of_a_table(tmp_path: Path, heading: str) -> None:
    names = images(tmp_path / "images")
    rows = [line_of(name, NAMES[n % 2], boxes_of(n)[1][1]) for n, name in enumerate(names)]
    write(tmp_path, HEADING, rows, "annotations.csv")
    for split, share in (("train", slice(12)), ("val", slice(12, 18)), ("test", slice(18, None))):
        first = heading if split == "train" or heading == "filename" else names[share][0]
        write(tmp_path, first, [name for name in names[share] if name != first], f"{split}.csv")
    found = open_dataset(tmp_path)
    assert [len(found.of_split(split)) for split in SPLITS] == [12, 6, 6]
    assert kinds(found) == {}


@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_lists_divide_the_images_of_a_table_of_classes(tmp_path: Path, suffix: str) -> None:
    names = images(tmp_path / "images")
    write(tmp_path, "filename,label", [f"{name},{NAMES[n % 2]}" for n, name in enumerate(names)])
    for split, share in (("train", slice(15)), ("val", slice(15, None))):
        (tmp_path / f"{split}.{suffix}").write_text("\n".join(names[share]))
    found = open_dataset(tmp_path)
    assert found.split_origin == "given"
    assert {image.path.name for image in found.of_split("val")} == set(names[15:])
    (tmp_path / f"val.{suffix}").unlink()
    assert kinds(open_dataset(tmp_path)) == {"splits_unused": 1}


def test_a_list_of_test_images_beside_a_table_of_the_others_divides_nothing(tmp_path: Path) -> None:
    names = images(tmp_path / "images")
    write(tmp_path, "id,label", [f"{name},{NAMES[n % 2]}" for n, name in enumerate(names[:18])], "train.csv")
    write(tmp_path, "id", names[18:], "test.csv")
    found = open_dataset(tmp_path)
    assert found.split_origin == "seeded"
    assert kinds(found) == {"image_unclassified": 6}
