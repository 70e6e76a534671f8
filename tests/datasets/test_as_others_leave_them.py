"""Data sets as other tools and people leave them: the same images, boxes and splits, or a clear refusal.

Each of these was once read without a word and with half of its boxes missing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from recommender.records import Dataset
from tests.datagen import make_dataset, zip_of
from tests.datasets.helpers import kinds

Change = Callable[[Path], Path | None]


def counts(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Images and boxes of each split."""
    return {
        split: (len(images), sum(len(image.classes_M) for image in images))
        for split in ("train", "val")
        for images in [dataset.of_split(split)]
    }


def lists(folder: Path) -> Path:
    return folder / "ImageSets" / "Main"


def valid_for_val(folder: Path) -> None:
    (lists(folder) / "val.txt").rename(lists(folder) / "valid.txt")


def lists_beside_main(folder: Path) -> None:
    for path in lists(folder).iterdir():
        path.rename(folder / "ImageSets" / path.name)
    lists(folder).rmdir()


def lists_in_lower_case(folder: Path) -> None:
    (folder / "ImageSets").rename(folder / "sets")
    (folder / "sets" / "Main").rename(folder / "sets" / "main")
    (folder / "sets").rename(folder / "imagesets")


def lists_at_the_top(folder: Path) -> None:
    for path in lists(folder).iterdir():
        path.rename(folder / path.name)
    shutil.rmtree(folder / "ImageSets")


def file_names_in_lists(folder: Path) -> None:
    for path in lists(folder).iterdir():
        path.write_text("".join(f"JPEGImages/{line}.PNG\n" for line in path.read_text().split()))


def spaces_in_names(folder: Path) -> None:
    for path in [*(folder / "Annotations").iterdir(), *(folder / "JPEGImages").iterdir()]:
        path.rename(path.with_name(path.name.replace("shape_", "shape ")))
    for path in lists(folder).iterdir():
        path.write_text(path.read_text().replace("shape_", "shape "))


def flags_behind_names(folder: Path) -> None:
    for path in lists(folder).iterdir():
        path.write_text("".join(f"{line}  1\n" for line in path.read_text().split()))


def stray_yolo_labels(folder: Path) -> None:
    for number in (0, 5, 20):
        (folder / "JPEGImages" / f"shape_{number:04d}.txt").write_text("0 0.5 0.5 0.2 0.2\n")


def two_years_in_one_devkit(folder: Path) -> Path:
    kit = folder.parent / "VOCdevkit"
    for number, year in enumerate(("VOC2007", "VOC2012")):
        shutil.copytree(folder, kit / year)
        for path in lists(kit / year).iterdir():
            stems = path.read_text().split()
            mine = [stem for i, stem in enumerate(stems) if i % 2 == number]
            path.write_text("\n".join(mine))
            for stem in {*stems} - {*mine}:
                (kit / year / "Annotations" / f"{stem}.xml").unlink()
                (kit / year / "JPEGImages" / f"{stem}.png").unlink()
    return kit


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        valid_for_val,
        lists_beside_main,
        lists_in_lower_case,
        lists_at_the_top,
        file_names_in_lists,
        spaces_in_names,
        flags_behind_names,
        stray_yolo_labels,
        two_years_in_one_devkit,
    ],
)
def test_a_voc_tree_is_read_whole(tmp_path: Path, change: Change) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    expected = counts(open_dataset(folder))
    changed = open_dataset(change(folder) or folder)
    assert counts(changed) == expected
    assert changed.split_origin == "given"
    assert not kinds(changed)


def test_voc_images_of_one_name_in_two_folders_keep_their_own_boxes(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    expected = sum(boxes for _, boxes in counts(open_dataset(folder)).values())
    shutil.rmtree(folder / "ImageSets")
    for kind in ("Annotations", "JPEGImages"):
        for number, path in enumerate(sorted((folder / kind).iterdir())):
            place = folder / kind / f"cam{number % 2}" / f"{number // 2}{path.suffix}"
            place.parent.mkdir(exist_ok=True)
            path.rename(place)
    found = counts(open_dataset(folder))
    assert sum(images for images, _ in found.values()) == 24
    assert sum(boxes for _, boxes in found.values()) == expected


def test_what_no_voc_list_names_is_told_and_what_is_listed_in_vain_too(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc", images=24)
    path = lists(folder) / "train.txt"
    path.write_text("\n".join(["nobody", *path.read_text().split()[1:]]))
    assert kinds(open_dataset(folder)) == {"image_missing": 1, "image_unlisted": 1}


def coco(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "set", format="coco", images=24)


def jsons(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json"))


def test_a_damaged_coco_json_is_never_left_out_silently(tmp_path: Path) -> None:
    folder = coco(tmp_path)
    train = next(path for path in jsons(folder) if "train" in path.name)
    train.write_bytes(train.read_bytes()[:500])
    with pytest.raises(DatasetError, match="not valid JSON"):
        open_dataset(folder)


def test_the_coco_json_without_a_split_in_its_name_is_train(tmp_path: Path) -> None:
    folder = coco(tmp_path)
    expected = counts(open_dataset(folder))
    train = next(path for path in jsons(folder) if "train" in path.name)
    train.rename(train.with_name(train.name.replace("train", "")))
    assert counts(open_dataset(folder)) == expected


def test_a_coco_json_that_nobody_can_place_is_asked_about(tmp_path: Path) -> None:
    folder = coco(tmp_path)
    train = next(path for path in jsons(folder) if "train" in path.name)
    expected = counts(open_dataset(folder))
    whole = train.with_name("instances_.json")
    whole.write_bytes(train.read_bytes())  # all its images are train's: it adds nothing
    assert counts(open_dataset(folder)) == expected
    content = json.loads(whole.read_text())
    content["images"].append({"id": 10**6, "file_name": "another.png"})
    whole.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="do not tell which"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y, w, h, size: [x / size[0], y / size[1], w / size[0], h / size[1]], "fraction"),
        (lambda x, y, w, h, size: [x, y, x + w, y + h], "corners"),
        (lambda x, y, w, h, size: [x + w / 2, y + h / 2, w, h], "centre"),
    ],
)
def test_boxes_of_another_convention_are_refused(
    tmp_path: Path, change: Callable[..., list[float]], said: str
) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    content = json.loads(path.read_text())
    size = (content["images"][0]["width"], content["images"][0]["height"])
    for row in content["annotations"]:
        row["bbox"] = change(*row["bbox"], size)
        row.pop("segmentation", None)
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=said):
        open_dataset(path)


def test_numbers_no_float_can_hold_are_counted_not_fatal(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    content = json.loads(path.read_text())
    content["annotations"][0]["bbox"] = [10**400, 1.5, 1.5, 10**400]
    path.write_text(json.dumps(content))
    assert kinds(open_dataset(path)) == {"label_not_finite": 1}


def test_coco_entries_of_one_name_are_refused_where_two_images_have_it(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    content = json.loads(path.read_text())
    first, second = content["images"][:2]
    images = path.parent / "images"
    found = {row["file_name"]: next(images.rglob(Path(row["file_name"]).name)) for row in (first, second)}
    for number, row in enumerate((first, second)):
        place = images / f"cam{number}" / "one.png"
        place.parent.mkdir()
        found[row["file_name"]].rename(place)
        row["file_name"] = "one.png"
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="2 images are called so"):
        open_dataset(path)


def darknet(tmp_path: Path) -> Path:
    """Images and labels in one folder, lists beside them, all below one more folder."""
    source = make_dataset(tmp_path / "set", images=24)
    root = source if source.is_dir() else source.parent
    folder = tmp_path / "packed" / "top"
    folder.mkdir(parents=True)
    for split in ("train", "val"):
        names = []
        for path in sorted((root / "images" / split).iterdir()):
            shutil.copy(path, folder / path.name)
            shutil.copy(root / "labels" / split / f"{path.stem}.txt", folder)
            names.append(path.name)
        (folder / f"{split}.txt").write_text("\n".join(names))
    (folder / "obj.names").write_text("circle\nsquare\n")
    return folder


def test_lists_of_darknet_count_one_folder_down_and_in_an_archive(tmp_path: Path, home: Path) -> None:
    folder = darknet(tmp_path)
    expected = counts(open_dataset(folder))
    assert expected["val"][0] == 6
    assert counts(open_dataset(folder.parent)) == expected
    assert counts(open_dataset(zip_of(folder.parent, tmp_path / "packed.zip"))) == expected


def test_what_darknet_lists_leave_out_is_left_out_and_told(tmp_path: Path) -> None:
    folder = darknet(tmp_path)
    names = (folder / "train.txt").read_text().split()
    (folder / "train.txt").write_text("\n".join(Path(name).stem for name in names[:-3]))
    dataset = open_dataset(folder)
    assert len(dataset.of_split("train")) == len(names) - 3
    assert kinds(dataset) == {"image_unlisted": 3}


def test_a_broken_data_yaml_is_not_hidden_by_another_yaml(tmp_path: Path) -> None:
    source = make_dataset(tmp_path / "set")
    root = source if source.is_dir() else source.parent
    (root / "data.yaml").rename(root / "mine.yaml")
    (root / "mine.yaml").write_text((root / "mine.yaml").read_text() + "\n\t: [\n")
    (root / "hyp.yaml").write_text("lr0: 0.01\n")
    with pytest.raises(DatasetError, match=r"mine\.yaml is not valid YAML.*Correct that line"):
        open_dataset(root)
