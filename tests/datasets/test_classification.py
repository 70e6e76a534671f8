"""Image classification: class folders and CSV files, the layouts people have, and what is refused by name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import class_folder, export_yolo, inspect_dataset, open_dataset
from recommender.datasets.checks import quick_defects
from recommender.errors import DatasetError, WrongTaskError
from recommender.records import Dataset
from tests.datagen import zip_of
from tests.datasets.helpers import kinds, tree_digest

COLOURS = {"cat": (200, 60, 40), "dog": (40, 60, 200), "bird": (60, 200, 40), "train": (200, 200, 30)}


def put(folder: Path, kind: str, count: int, start: int = 0) -> list[Path]:
    """So many different pictures of a class."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(start, start + count):
        rng = np.random.default_rng([number, len(kind), ord(kind[0])])
        pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.float64) * 0.6 + np.array(COLOURS[kind]) * 0.4
        path = folder / f"{kind}_{number:03d}.png"
        Image.fromarray(pixels.astype(np.uint8)).resize((32, 32), Image.Resampling.NEAREST).save(path)
        paths.append(path)
    return paths


def counts(found: Dataset) -> dict[tuple[str, str], int]:
    """Images by split and class."""
    names = found.class_names
    return dict(Counter((image.split, names[int(image.classes_M[0])]) for image in found.images))


def two_splits(
    root: Path, kinds: Sequence[str] = ("cat", "dog"), words: tuple[str, str] = ("train", "val")
) -> Path:
    """SPLIT/CLASS: four of each in the first, two in the second."""
    for kind in kinds:
        put(root / words[0] / kind, kind, 4)
        put(root / words[1] / kind, kind, 2, start=10)
    return root


EXPECTED = {("train", "cat"): 4, ("train", "dog"): 4, ("val", "cat"): 2, ("val", "dog"): 2}


@pytest.mark.parametrize(
    ("wrapper", "words"),
    [
        ("", ("train", "val")),
        ("pets", ("train", "valid")),
        ("pets/images", ("training", "validation")),
        ("", ("seg_train/seg_train", "seg_val/seg_val")),
        ("", ("Train", "Val")),
    ],
)
def test_splits_by_name_below_any_wrapper(tmp_path: Path, wrapper: str, words: tuple[str, str]) -> None:
    two_splits(tmp_path / "set" / wrapper, words=words)
    (tmp_path / "set" / "README.txt").write_text("pets")
    before = tree_digest(tmp_path)
    found = open_dataset(tmp_path / "set")
    assert (found.task, found.format, found.split_origin) == ("classify", "class folders", "given")
    assert found.class_names == ("cat", "dog")
    assert counts(found) == EXPECTED
    image = found.images[0]
    assert image.boxes_M4.tolist() == [[0.5, 0.5, 1.0, 1.0]]
    assert image.polygons is None
    assert tree_digest(tmp_path) == before


def test_test_and_train_alone_and_zips(tmp_path: Path) -> None:
    root = two_splits(tmp_path / "pets", words=("train", "test"))
    found = open_dataset(zip_of(root, tmp_path / "pets.zip"))
    assert found.split_origin == "seeded"
    assert {split for split, _ in counts(found)} == {"train", "val", "test"}
    assert found.content_hash == open_dataset(root).content_hash


def test_a_test_split_alone_is_divided(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        put(tmp_path / "test" / kind, kind, 5)
    found = open_dataset(tmp_path)
    assert (found.class_names, found.split_origin) == (("cat", "dog"), "seeded")
    assert {split for split, _ in counts(found)} == {"train", "val"}


def test_what_segmentation_sets_call_their_folders_is_no_class(tmp_path: Path) -> None:
    for part in ("leftImg8bit", "gtFine"):
        put(tmp_path / part / "train" / "aachen", "cat", 4)
    with pytest.raises(DatasetError, match="no labels that are read"):
        open_dataset(tmp_path)
    content = {"imgHeight": 32, "objects": [{"label": "car", "polygon": [[1, 1], [9, 1], [9, 9]]}]}
    (tmp_path / "gtFine" / "train" / "aachen" / "cat_000_polygons.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="Cityscapes JSON"):
        open_dataset(tmp_path)


def test_run_lengths_in_a_table_are_no_classes(tmp_path: Path) -> None:
    text = "ImageId,EncodedPixels\n" + "".join(f"{stem}.png,1 3 10 5\n" for stem, _ in ROWS)
    with pytest.raises(DatasetError, match="masks as run lengths"):
        open_dataset(table(tmp_path, text))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ('{""choices"":[""cat"",""small""]}', "several classes"),
        ('[{""x"":1,""rectanglelabels"":[""cat""]}]', "JSON in the column of the class"),
    ],
)
def test_json_in_a_table_is_no_class(tmp_path: Path, cell: str, message: str) -> None:
    text = "annotator,choice,id,image\n" + "".join(f'1,"{cell}",9,{stem}.png\n' for stem, _ in ROWS)
    with pytest.raises(DatasetError, match=message):
        open_dataset(table(tmp_path, text))


def test_without_splits_every_class_is_on_both_sides_and_copies_on_one(tmp_path: Path) -> None:
    for kind in ("cat", "dog", "bird"):
        paths = put(tmp_path / kind, kind, 10)
        for path in paths[:3]:
            Image.open(path).resize((48, 48)).save(path.with_name(f"again_{path.name}"))
    found = open_dataset(tmp_path)
    assert found.split_origin == "seeded"
    assert set(counts(found)) == {
        (split, kind) for split in ("train", "val") for kind in ("bird", "cat", "dog")
    }
    split_of = {image.path.name: image.split for image in found.images}
    assert all(split_of[name] == split_of[name.removeprefix("again_")] for name in split_of)
    assert open_dataset(tmp_path).content_hash == found.content_hash
    assert open_dataset(tmp_path, seed=1).content_hash != found.content_hash


def test_classes_are_matched_by_name_and_never_by_order(tmp_path: Path) -> None:
    put(tmp_path / "train" / "bird", "bird", 3)
    put(tmp_path / "train" / "dog", "dog", 3)
    put(tmp_path / "val" / "cat", "cat", 1)
    put(tmp_path / "val" / "dog", "dog", 2, start=10)
    found = open_dataset(tmp_path)
    assert found.class_names == ("bird", "cat", "dog")
    assert counts(found)[("val", "dog")] == 2
    assert kinds(found)["class_folder_missing"] == 2
    defects = {d.kind: d.examples for d in inspect_dataset(found).defects}
    assert defects["class_missing_in_train"] == ("cat: 1 labelled image in val",)
    assert defects["class_missing_in_val"] == ("bird: 3 labelled images in train",)


def test_a_class_may_be_called_train_and_another_be_empty(tmp_path: Path) -> None:
    for kind in ("train", "cat"):
        put(tmp_path / kind, kind, 5)
    (tmp_path / "dog").mkdir()
    found = open_dataset(tmp_path)
    assert found.class_names == ("cat", "dog", "train")
    assert "class_empty" in {defect.kind for defect in inspect_dataset(found).defects}


def test_splits_within_the_classes(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        put(tmp_path / kind / "train", kind, 4)
        put(tmp_path / kind / "val", kind, 2, start=10)
    assert counts(open_dataset(tmp_path)) == EXPECTED


def test_unlabelled_test_images_and_folders_within_classes_are_told(tmp_path: Path) -> None:
    root = two_splits(tmp_path / "pets")
    put(root / "test", "bird", 2)
    put(root / "train" / "cat" / "young", "cat", 1, start=30)
    found = open_dataset(root)
    assert kinds(found) == {"image_unclassified": 2, "class_nested": 1}
    assert counts(found)[("train", "cat")] == 5


def test_the_same_folders_in_every_folder_are_refused(tmp_path: Path) -> None:
    for copy in ("color", "grayscale"):
        for kind in ("cat", "dog"):
            put(tmp_path / copy / kind, kind, 3)
    with pytest.raises(DatasetError, match=r"each hold the same folders \(cat, dog"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path / "color").class_names == ("cat", "dog")
    put(tmp_path / "color" / "bird", "bird", 3)  # of unlike ones the upper are classes, which is told
    found = open_dataset(tmp_path)
    assert found.class_names == ("color", "grayscale")
    assert kinds(found)["class_nested"] == 15


def test_images_beside_like_named_folders_make_the_outer_ones_classes(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        put(tmp_path / kind, kind, 4)
        put(tmp_path / kind / "raw", kind, 3, start=10)
        put(tmp_path / kind / "augmented", kind, 3, start=20)
    assert open_dataset(tmp_path).class_names == ("cat", "dog")


def table(folder: Path, text: str, name: str = "labels.csv") -> Path:
    """A flat folder of four cats and four dogs, and a CSV beside it."""
    for kind in ("cat", "dog"):
        put(folder / "images", kind, 4)
    (folder / name).write_text(text)
    return folder


ROWS = [(f"{kind}_{number:03d}", kind) for kind in ("cat", "dog") for number in range(4)]


@pytest.mark.parametrize(
    "text",
    [
        "filename,label\n" + "".join(f"{stem}.png,{kind}\n" for stem, kind in ROWS),
        "annotation_id,annotator,choice,id,image,lead_time\n"
        + "".join(f"{n},1,{kind},9,/data/upload/1/{stem}.png,3.5\n" for n, (stem, kind) in enumerate(ROWS)),
        "id;breed\n" + "".join(f"{stem};{kind}\n" for stem, kind in ROWS),
        "".join(f"images/{stem}.png\t{kind}\n" for stem, kind in ROWS),
        "image_path,width,class_id,class_name\n"
        + "".join(f"/data/x/images/{stem}.png,32,{int(kind == 'dog')},{kind}\n" for stem, kind in ROWS),
        "image,cat,dog\n"
        + "".join(f"{stem}.png,{int(kind == 'cat')},{int(kind == 'dog')}\n" for stem, kind in ROWS),
    ],
    ids=["plain", "Label Studio", "stems", "no header", "several columns", "one-hot"],
)
def test_tables_of_file_and_label(tmp_path: Path, text: str) -> None:
    found = open_dataset(table(tmp_path, text))
    assert (found.task, found.format, found.class_names) == ("classify", "csv", ("cat", "dog"))
    assert all(found.class_names[int(image.classes_M[0])] in image.name for image in found.images)
    assert found.content_hash == open_dataset(tmp_path / "labels.csv").content_hash
    assert len(found.images) == 8


def test_tables_with_splits_in_a_column_or_in_their_names(tmp_path: Path) -> None:
    text = "file,label,split\n" + "".join(
        f"{stem}.png,{kind},{'valid' if stem.endswith('3') else 'train'}\n" for stem, kind in ROWS
    )
    column = open_dataset(table(tmp_path / "a", text))
    assert counts(column)[("val", "dog")] == 1
    header = "file,label\n"
    folder = table(
        tmp_path / "b",
        header + "".join(f"{s}.png,{k}\n" for s, k in ROWS if not s.endswith("3")),
        "train.csv",
    )
    (folder / "val.csv").write_text(header + "".join(f"{s}.png,{k}\n" for s, k in ROWS if s.endswith("3")))
    (folder / "sample_submission.csv").write_text(header + "cat_000.png,dog\n")
    assert open_dataset(folder).content_hash == column.content_hash


@pytest.mark.parametrize(
    "text",
    [
        "file,cat,dog\n" + "".join(f"{stem}.png,1,{int(kind == 'dog')}\n" for stem, kind in ROWS),
        "file,label\n" + "".join(f"{stem}.png,{kind}\n" for stem, kind in ROWS) + "cat_000.png,dog\n",
        "file,labels\n"
        + "".join(f"{stem}.png,{kind}\n" for stem, kind in ROWS[1:])
        + "cat_000.png,cat dog\n",
        "file,labels\n"
        + "".join(f"{stem}.png,{kind}\n" for stem, kind in ROWS[1:])
        + 'cat_000.png,"cat,dog"\n',
    ],
    ids=["flags", "two rows", "words", "commas"],
)
def test_several_classes_an_image_are_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(WrongTaskError, match="multi-label classification"):
        open_dataset(table(tmp_path, text))


@pytest.mark.parametrize("suffix", [".png", ""])
def test_folders_and_tables_that_contradict_each_other_are_refused(tmp_path: Path, suffix: str) -> None:
    for number, (stem, kind) in enumerate(ROWS):
        folder = tmp_path / f"corner_{number % 2}"
        put(folder, kind, 1, start=int(stem[-1]))
    (tmp_path / "labels.csv").write_text(
        "file,label\n" + "".join(f"{stem}{suffix},{kind}\n" for stem, kind in ROWS)
    )
    with pytest.raises(DatasetError, match="folders name other classes"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path / "labels.csv").class_names == ("cat", "dog")


def test_another_task_is_refused_and_named(tmp_path: Path) -> None:
    root = two_splits(tmp_path / "pets")
    with pytest.raises(WrongTaskError, match="image classification, not object detection"):
        open_dataset(root, task="detect")
    put(tmp_path / "flat", "cat", 3)
    with pytest.raises(WrongTaskError, match="no folders of images by class"):
        open_dataset(tmp_path / "flat", task="classify")


def test_a_single_class_is_told_that_two_are_needed(tmp_path: Path) -> None:
    put(tmp_path / "pets" / "cat", "cat", 3)
    with pytest.raises(DatasetError, match="two classes at least"):
        open_dataset(tmp_path / "pets")
    with pytest.raises(WrongTaskError, match="each class, two at least"):
        open_dataset(tmp_path / "pets", task="classify")


def test_the_export_is_a_tree_that_ultralytics_numbers_alike(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    root = two_splits(tmp_path / "pets", kinds=("cat", "dog", "bird"))
    (root / "train" / "dog").rename(root / "train" / "10 % dog:é")
    (root / "val" / "dog").rename(root / "val" / "10 % dog:é")
    (root / "train" / "nobody").mkdir()
    found = open_dataset(root)
    folder = export_yolo(found, tmp_path / "out")
    assert folder == tmp_path / "out"
    for split in ("train", "val"):
        tree = ImageFolder(str(folder / split), allow_empty=True)
        assert tree.classes == [class_folder(number, name) for number, name in enumerate(found.class_names)]
        images = Counter(found.class_names[index] for _, index in tree.samples)
        assert images == Counter({kind: n for (own, kind), n in counts(found).items() if own == split})
    assert export_yolo(found, tmp_path / "out") == folder


def test_the_same_picture_in_two_classes_is_an_error_everywhere(tmp_path: Path) -> None:
    root = two_splits(tmp_path / "pets")
    put(root / "train" / "cat", "cat", 8)
    copy = root / "train" / "dog" / "copy.png"
    copy.write_bytes((root / "train" / "cat" / "cat_000.png").read_bytes())
    Image.open(root / "train" / "cat" / "cat_001.png").resize((64, 64)).save(copy.with_name("larger.png"))
    found = open_dataset(root)
    told = {defect.kind: defect for defect in inspect_dataset(found).defects}
    assert told["picture_in_two_classes"].severity == "error"
    assert told["picture_in_two_classes"].count == 1
    assert told["likeness_in_two_classes"].count == 1
    assert "picture_in_two_classes" in {defect.kind for defect in quick_defects(found)}


@pytest.mark.parametrize(
    "text", ['file,label\n"' + "x" * 200_000, "file,label\ncat_000.png,a\0b\n", "", "file\n", ",,,\n,,,\n"]
)
def test_tables_that_are_none_are_refused_in_words(tmp_path: Path, text: str) -> None:
    table(tmp_path, text)
    for path in (tmp_path, tmp_path / "labels.csv"):
        with pytest.raises(DatasetError) as caught:
            open_dataset(path)
        assert caught.value.remedy


def test_names_with_dots_and_without_suffix_are_found(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for path in put(tmp_path / "images", kind, 4):
            path.rename(path.with_name(f"1-s2.0-{path.stem}.png"))
    (tmp_path / "train.csv").write_text(
        "id,label\n" + "".join(f"1-s2.0-{stem},{kind}\n" for stem, kind in ROWS)
    )
    assert len(open_dataset(tmp_path).images) == 8
