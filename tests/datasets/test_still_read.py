"""Files beside a data set that must not change how it is read: lists, notes, counts, models and previews."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from tests.datagen import draw_images, make_dataset
from tests.datasets import foreign
from tests.datasets.helpers import kinds
from tests.datasets.test_mask_legends import grey_masks

LISTS = ["autosplit_{}.txt", "{}_list.txt", "{}_images.txt"]


@pytest.mark.parametrize("other", LISTS)
def test_a_tools_lists_do_not_replace_those_of_yolo(tmp_path: Path, other: str) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_flat")
    rows = [f"./shape_{number:04d}.png\n" for number in range(12)]
    (folder / "train.txt").write_text("".join(rows[:8]))
    (folder / "val.txt").write_text("".join(rows[8:]))
    expected = open_dataset(folder)
    (folder / other.format("train")).write_text("".join(rows[4:]))
    (folder / other.format("val")).write_text("".join(rows[:4]))
    assert open_dataset(folder).content_hash == expected.content_hash
    (folder / "lists").mkdir()
    for split in ("train", "val"):
        (folder / f"{split}.txt").rename(folder / "lists" / f"{split}.txt")
    (folder / "obj.data").write_text("train = lists/train.txt\nvalid = lists/val.txt\n")
    assert open_dataset(folder).content_hash == expected.content_hash


def test_a_tools_lists_do_not_replace_those_of_voc(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="voc")
    expected = open_dataset(folder)
    stems = sorted(path.stem for path in (folder / "Annotations").iterdir())
    for split in ("train", "val"):
        (folder / "ImageSets" / "Main" / f"{split}_list.txt").write_text("\n".join(stems))
    found = open_dataset(folder)
    assert (found.split_origin, found.content_hash) == ("given", expected.content_hash)


def test_a_list_of_test_images_alone_divides_nothing(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_flat")
    (folder / "test_images.txt").write_text("".join(f"./shape_{number:04d}.png\n" for number in range(4)))
    assert len(open_dataset(folder).images) == 12


BESIDE = {
    "x.manifest": '{"source-ref": "s3://a/b.png"}',
    "a.odgt": '{"ID": "a", "gtboxes": []}',
    "samples.json": '{"samples": [{"_id": 1}]}',
    "metadata.json": '{"original_filename": "a.png", "annotations": []}',
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("form", ["class folders", "masks", "CSV"])
def test_notes_of_unread_forms_are_told_beside_what_is_read(tmp_path: Path, form: str, name: str) -> None:
    if form == "masks":
        grey_masks(tmp_path, (255, 255))
    else:
        for number, drawn in enumerate(draw_images(12, ("a", "b"))):
            folder = tmp_path / ("images" if form == "CSV" else "ab"[number % 2])
            folder.mkdir(exist_ok=True)
            drawn.image.save(folder / f"{drawn.stem}.png")
    if form == "CSV":
        rows = "".join(f"shape_{number:04d}.png,{'ab'[number % 2]}\n" for number in range(12))
        (tmp_path / "labels.csv").write_text(f"file,label\n{rows}")
    (tmp_path / name).write_text(BESIDE[name])
    found = open_dataset(tmp_path)
    assert found.task == ("segment" if form == "masks" else "classify")
    assert kinds(found)["form_beside"] == 1


@pytest.mark.parametrize("names", ["classes.txt", "YAMLs that differ"])
def test_names_of_models_are_not_those_of_the_labels(tmp_path: Path, names: str) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo_layout")
    if names != "classes.txt":
        (folder / "classes.txt").unlink()
        (folder / "old.yaml").write_text("names: [Circle, square]\n")
        (folder / "new.yaml").write_text("names: [circle, square]\n")
    expected = ("circle", "square") if names == "classes.txt" else ("0", "1")
    (folder / "model").mkdir()
    (folder / "model" / "metadata.yaml").write_text("names: {0: person, 1: car}\n")
    (folder / "metadata.yaml").write_text("names: {0: person, 1: car}\n")
    assert open_dataset(folder).class_names == expected


@pytest.mark.parametrize("suffix", [".csv.zip", ".json.zip", ".xml.zip"])
def test_a_packed_data_set_may_be_called_as_packed_annotations(tmp_path: Path, suffix: str) -> None:
    folder = make_dataset(tmp_path / "set", format="coco_file").parent
    packed = shutil.make_archive(str(tmp_path / "set"), "zip", folder)
    path = Path(packed).rename(tmp_path / f"set{suffix}")
    assert len(open_dataset(path).images) == 12
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("instances.json", "{}")
    with pytest.raises(DatasetError, match="a packed file"):
        open_dataset(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("counts", [{"train": 100, "val": 20}, {"total": 120}, {"train": 6, "test": 0}])
def test_counts_are_no_legend(tmp_path: Path, counts: dict[str, int], suffix: str) -> None:
    folder = grey_masks(tmp_path, (255, 255), suffix)
    (folder / "classes.json").write_text(json.dumps(counts))
    assert open_dataset(folder, task="segment").class_names == ("object",)
    (folder / "label_stats.json").write_text('{"images": 6, "masks": 7}')
    assert open_dataset(folder, task="segment").class_names == ("object",)


def test_counts_beside_a_legend_say_nothing(tmp_path: Path) -> None:
    folder = grey_masks(tmp_path, (1, 2))
    (folder / "classes.txt").write_text("background\ncorner\nwedge\n")
    (folder / "class_counts.json").write_text('{"corner": 120, "wedge": 80}')
    assert open_dataset(folder).class_names == ("corner", "wedge")


@pytest.mark.parametrize("tags", [("test", None), ("test", "test")])
def test_tags_of_supervisely_that_do_not_divide_all(tmp_path: Path, tags: tuple[str, str | None]) -> None:
    folder = foreign.supervisely(tmp_path / "set", draw_images(12, ("a", "b")), ("a", "b"))
    expected = open_dataset(folder)
    for number, path in enumerate(sorted(folder.glob("*/ann/*.json"))):
        name = tags[number >= 4]
        own = [{"name": name}] if name else []
        path.write_text(json.dumps({**json.loads(path.read_text()), "tags": own}))
    assert open_dataset(folder).num_images == expected.num_images


def test_previews_beside_their_images_are_not_told(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="coco_file").parent
    paths = sorted(folder.rglob("*.png"))
    for path in paths:
        for word in ("vis", "overlay", "mask"):
            shutil.copy(path, path.with_stem(f"{path.stem}_{word}"))
    shutil.copy(paths[0], paths[0].with_stem("other_vis"))
    assert kinds(open_dataset(folder)) == {"image_beside": 1}


def test_a_damaged_zip_called_as_packed_annotations_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", "{}")
    data = path.read_bytes()
    record = b"PK\x06\x06" + bytes(52)  # of no length, which zipfile passes over
    length = (0xFFFFF).to_bytes(4, "little")  # the directory begins before the file
    path.write_bytes(data[:-22] + record + data[-22:-10] + length + data[-6:])
    with pytest.raises(DatasetError, match="damaged"):
        open_dataset(path)
