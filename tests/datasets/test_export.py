"""The clean copy for ultralytics."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from recommender.datasets import export_yolo, open_dataset, write_data_yaml
from recommender.errors import ConflictError, DatasetError, StorageError
from tests.datagen import make_dataset, zip_of
from tests.datasets.helpers import tree_digest, write_rows, yolo_set


def test_export_holds_the_same_data_set_and_nothing_else(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    (folder / "labels" / "train.cache").write_bytes(b"planted")
    (folder / "images" / "train" / "shape_0000.npy").write_bytes(b"planted")
    write_rows(folder, 1, "")
    before = tree_digest(folder)
    dataset = open_dataset(folder)
    description = export_yolo(dataset, tmp_path / "out")
    assert tree_digest(folder) == before
    again = open_dataset(description)
    assert again.content_hash == dataset.content_hash
    assert again.defects == ()
    suffixes = {path.suffix for path in description.parent.rglob("*") if path.is_file()}
    assert suffixes == {".png", ".txt", ".yaml", ".json"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]  # nothing left aside


def test_ultralytics_finds_every_image_and_box(tmp_path: Path) -> None:
    """Read by the very functions that training uses."""
    from recommender.ultralytics_safety import prepare_ultralytics

    prepare_ultralytics()
    from ultralytics.data.utils import img2label_paths, verify_image_label

    dataset = open_dataset(make_dataset(tmp_path / "images" / "set", images=8, suffix=".jpg"))
    folder = export_yolo(dataset, tmp_path / "images" / "out").parent
    for split in ("train", "val"):
        files = sorted(str(path) for path in (folder / "images" / split).iterdir())
        for file, label, image in zip(files, img2label_paths(files), dataset.of_split(split), strict=True):
            checked = verify_image_label((file, label, "", False, 2, 0, 0, False))
            assert checked[0] == file, checked[-1]
            np.testing.assert_allclose(checked[1][:, 1:], image.boxes_M4, atol=1e-5)
            assert checked[1][:, 0].tolist() == image.classes_M.tolist()


def test_names_are_escaped_and_files_named_safely(tmp_path: Path) -> None:
    names = [
        "it's",
        "<b>bold</b>",
        "a: b # c",
        "nu\0l",
        "esc\x1b[31m",
        "größe",
        "two\nlines",
        "- x",
        "",
        "yes",
    ]
    folder = make_dataset(tmp_path / "set", classes=names, boxes=len(names))
    source = folder / "images" / "train" / "shape_0000.png"
    odd = source.with_name("a b'\u202e$(touch x);..%2f#.png")
    source.rename(odd)
    (folder / "labels" / "train" / "shape_0000.txt").rename(folder / "labels" / "train" / f"{odd.stem}.txt")
    dataset = open_dataset(folder)
    assert dataset.class_names == tuple(names)  # kept as they are
    description = export_yolo(dataset, tmp_path / "out")
    written = yaml.safe_load(description.read_text("utf-8"))
    assert set(written) == {"path", "train", "val", "names"}
    assert list(written["names"]) == list(range(len(names)))
    assert all(name.isprintable() for name in written["names"].values())
    assert [written["names"][i] for i in (0, 1, 2, 5, 9)] == [
        "it's",
        "<b>bold</b>",
        "a: b # c",
        "größe",
        "yes",
    ]
    for path in (description.parent / "images").rglob("*.png"):
        assert path.name.isascii()
        assert not set(path.name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def test_the_same_export_is_reused_and_another_refused(tmp_path: Path) -> None:
    dataset = open_dataset(yolo_set(tmp_path / "set"))
    first = export_yolo(dataset, tmp_path / "out")
    written = first.stat().st_mtime_ns
    assert export_yolo(dataset, tmp_path / "out") == first
    assert first.stat().st_mtime_ns == written
    with pytest.raises(ConflictError, match="another export"):
        export_yolo(dataset, tmp_path / "out", splits=("train",))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ConflictError, match="not empty"):
        export_yolo(dataset, tmp_path / "full")
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def _export(place: tuple[Path, Path]) -> str:
    return str(export_yolo(open_dataset(place[0]), place[1]))


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_not_told_as_a_full_disk(tmp_path: Path) -> None:
    dataset = open_dataset(make_dataset(tmp_path / "set"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Name a folder that can be made"):
        export_yolo(dataset, tmp_path / "file" / "export")


def test_processes_may_race_for_one_export(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set", images=30)
    with ProcessPoolExecutor(4) as processes:
        places = set(processes.map(_export, [(folder, tmp_path / "out")] * 8))
    assert places == {str(tmp_path / "out" / "data.yaml")}
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == 30
    assert {path.name for path in tmp_path.iterdir()} == {"set", "out"}


def test_an_image_edited_after_opening_is_noticed(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    dataset = open_dataset(folder)
    path = folder / "images" / "train" / "shape_0000.png"
    Image.open(path).rotate(90).save(path)
    with pytest.raises(DatasetError, match=r"shape_0000\.png changed"):
        export_yolo(dataset, tmp_path / "out")
    path.unlink()
    with pytest.raises(DatasetError, match=r"shape_0000\.png changed"):
        export_yolo(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_moved_exports_get_their_paths_anew(tmp_path: Path) -> None:
    dataset = open_dataset(yolo_set(tmp_path / "set"))
    folder = export_yolo(dataset, tmp_path / "out").parent
    moved = folder.rename(tmp_path / "moved")
    write_data_yaml(moved, dataset.class_names, ("train", "val"))
    written = yaml.safe_load((moved / "data.yaml").read_text())
    assert written["train"] == str(moved / "images" / "train")
    assert json.loads((moved / "manifest.json").read_text())["left_out"] == []


def test_only_a_faultless_yaml_is_offered_to_ultralytics(tmp_path: Path) -> None:
    """`config` names the user's own data.yaml, and only where ultralytics could read it as it lies."""
    clean = make_dataset(tmp_path / "clean", format="yolo")
    assert open_dataset(clean).config is not None
    assert open_dataset(make_dataset(tmp_path / "coco", format="coco")).config is None
    label = next((clean / "labels").rglob("*.txt"), None) or next(clean.rglob("labels/*.txt"))
    label.write_text(label.read_text() + "0 nan 0.5 0.1 0.1\n")
    assert open_dataset(clean).config is None
    assert (
        open_dataset(zip_of(make_dataset(tmp_path / "zipped", format="yolo"), tmp_path / "z.zip")).config
        is None
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("train:", "path: .\ntrain:"),
        ("train:", "path: /home/old/set\ntrain:"),
        ("val:", "valid:"),
    ],
)
def test_a_yaml_that_ultralytics_would_read_otherwise_is_not_offered(
    tmp_path: Path, old: str, new: str
) -> None:
    file = make_dataset(tmp_path / "set", format="yolo") / "data.yaml"
    text = "\n".join(line for line in file.read_text().splitlines() if not line.startswith("path:"))
    file.write_text(text)
    assert open_dataset(file).config == file
    file.write_text(text.replace(old, new))
    assert open_dataset(file).config is None


def test_labels_that_ultralytics_would_not_find_are_exported(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set", format="yolo")
    (folder / "images").rename(folder / "imgs")
    file = folder / "data.yaml"
    file.write_text(file.read_text().replace("images/", "imgs/"))
    assert open_dataset(file).config is None
