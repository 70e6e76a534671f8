"""D1, P2, P3: a data set stays in its folder, and nothing of it is run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from recommender.cli.app import run
from recommender.datasets import Disk, export_yolo, inspect_dataset, open_dataset
from recommender.errors import DatasetError, UnsafeInputError
from tests.datasets.helpers import kinds, tree_digest, yolo_set

CANARY = "class-canary"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set beside which lies another that is none of its business."""
    secret = yolo_set(tmp_path / "secret")
    (secret / "classes.txt").write_text(f"{CANARY}\n{CANARY}\n")
    return yolo_set(tmp_path / "set")


def describe(folder: Path, **entries: object) -> Path:
    content = {"train": "images/train", "val": "images/val", "names": "[circle, square]"} | entries
    path = folder / "data.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in content.items()))
    return path


ENTRIES = [
    {"path": "/"},
    {"path": ".."},
    {"path": "../.."},
    {"path": "../secret"},
    {"path": "../set/.."},
    {"path": "{outside}"},
    {"path": "{outside}/.."},
    {"path": '"nul\\0"'},
    {"train": "../secret/images/train"},
    {"train": "{outside}/images/train"},
    {"train": "images/../../secret/images/train"},
    {"train": ".."},
    {"train": "../"},
    {"train": "/"},
    {"train": "/etc/passwd"},
    {"train": "/nowhere/at/all"},
    {"val": "[images/val, {outside}/images/val]"},
    {"test": "{outside}/images/val"},
    {"train": '"nul\\0"'},
]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("by_file", [True, False])
def test_entries_that_lead_out_are_refused(folder: Path, entry: dict[str, str], by_file: bool) -> None:
    outside = str(folder.parent / "secret")
    path = describe(folder, **{key: value.format(outside=outside) for key, value in entry.items()})
    with pytest.raises(UnsafeInputError) as caught:
        open_dataset(path if by_file else folder)
    assert "--allow-root" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_refusal_does_not_tell_whether_anything_is_there(folder: Path) -> None:
    messages = []
    for name in ("secret", "absent"):
        describe(folder, train=f"../{name}/images/train")
        with pytest.raises(UnsafeInputError) as caught:
            open_dataset(folder)
        messages.append(str(caught.value).replace(name, "…"))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    "line", ["{outside}/images/train/shape_0000.png", "../secret/images/train/shape_0000.png"]
)
def test_list_entries_that_lead_out_are_refused(folder: Path, line: str) -> None:
    outside = str(folder.parent / "secret")
    (folder / "train.txt").write_text("images/train/shape_0000.png\n" + line.format(outside=outside) + "\n")
    describe(folder, train="train.txt")
    with pytest.raises(UnsafeInputError, match=r"train\.txt:2"):
        open_dataset(folder)


def test_list_entries_inside_may_be_absolute(folder: Path) -> None:
    expected = open_dataset(folder).content_hash
    for split in ("train", "val"):
        paths = sorted((folder / "images" / split).iterdir())
        (folder / f"{split}.txt").write_text("".join(f"{path}\n" for path in paths))
    describe(folder, train="train.txt", val="val.txt")
    assert open_dataset(folder).content_hash == expected


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("images/train/linked.png", "secret/images/train/shape_0000.png"),
        ("images/train/linked.png", "absent.png"),
        ("labels/train/linked.txt", "secret/classes.txt"),
        ("images/train/more", "secret/images/train"),
        ("classes.txt", "secret/classes.txt"),
        ("extra.yaml", "secret/data.yaml"),
    ],
)
def test_links_that_lead_out_are_refused(folder: Path, link: str, target: str) -> None:
    (folder / link).symlink_to(folder.parent / target)
    (folder / "data.yaml").unlink()
    with pytest.raises(UnsafeInputError, match="leads out"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["images", "labels", "labels/train"])
def test_linked_folders_that_lead_out_are_refused(folder: Path, name: str) -> None:
    shutil.rmtree(folder / name)
    (folder / name).symlink_to(folder.parent / "secret" / name)
    with pytest.raises(UnsafeInputError, match="leads out"):
        open_dataset(folder)


def test_links_within_and_the_folder_itself_as_a_link_are_fine(folder: Path) -> None:
    expected = open_dataset(folder).content_hash
    (folder / "images" / "train").rename(folder / "pictures")
    (folder / "images" / "train").symlink_to(folder / "pictures")
    (folder / "labels" / "val").rename(folder / "texts")
    (folder / "labels" / "val").symlink_to("../texts")
    (folder.parent / "link").symlink_to(folder)
    for place in (folder, folder.parent / "link", folder.parent / "link" / "data.yaml"):
        assert open_dataset(place).content_hash == expected


def test_a_linked_folder_that_leads_to_itself_ends(folder: Path) -> None:
    (folder / "images" / "train" / "again").symlink_to(folder / "images")
    assert len(open_dataset(folder).images) == 12


@pytest.mark.parametrize("name", ["again", "images/train/again.jpg", "labels/train/again.txt"])
def test_a_link_in_a_circle_is_passed_over_as_one_that_leads_nowhere(folder: Path, name: str) -> None:
    expected = open_dataset(folder).content_hash
    (folder / name).symlink_to(Path(name).name)
    assert open_dataset(folder).content_hash == expected


def test_allowed_roots_open_what_they_name_and_no_more(folder: Path) -> None:
    secret = folder.parent / "secret"
    path = describe(folder, path=str(secret))
    assert len(open_dataset(path, allowed_roots=(secret,)).images) == 12
    with pytest.raises(UnsafeInputError):
        open_dataset(path, allowed_roots=(secret / "images",))


def test_pipes_and_devices_are_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "images" / "train" / "pipe.png")
    os.mkfifo(folder / "labels" / "train" / "shape_0000x.txt")
    assert len(open_dataset(folder).images) == 12


def test_disk_follows_no_link_it_was_not_shown(folder: Path) -> None:
    disk = Disk((folder,))
    assert disk.contains(folder / "images" / "x" / ".." / "train")
    assert not disk.contains(folder / "images" / ".." / ".." / "secret")
    assert not disk.contains(Path("/"))
    assert not disk.contains(Path(str(folder) + "-other"))


DOWNLOADS = [
    "|\n  from pathlib import Path\n  Path({marker!r}).touch()",
    "bash touch {marker}",
    "https://example.org/data.zip",
]


@pytest.mark.parametrize("download", DOWNLOADS)
@pytest.mark.parametrize("missing", ["val", "val-empty", "both"])
def test_download_never_runs(
    folder: Path,
    download: str,
    missing: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marker = folder.parent / "ran"
    describe(folder, download=download.format(marker=str(marker)))
    monkeypatch.chdir(folder)
    dataset = open_dataset(folder)  # nothing is missing yet: told, not run
    assert kinds(dataset) == {"download_ignored": 1}
    inspect_dataset(dataset)
    for split in ("val",) if missing != "both" else ("train", "val"):
        shutil.rmtree(folder / "images" / split)
        if missing == "val-empty":
            (folder / "images" / split).mkdir()
    assert run(["datasets", "inspect", str(folder / "data.yaml")]) == 2
    assert "`download:` is never run" in capsys.readouterr().err
    assert not marker.exists()


class Planted:
    """Its unpickling makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    "name", ["labels/{split}.cache", "labels/{split}/x.npy", "images/{split}/shape_0000.npy"]
)
def test_planted_caches_are_reported_and_never_loaded(
    folder: Path, tmp_path: Path, split: str, name: str
) -> None:
    import pickle

    import numpy as np

    marker = tmp_path / "ran"
    planted = folder / name.format(split=split)
    with planted.open("wb") as file:
        np.save(file, np.array([Planted(marker)], dtype=object), allow_pickle=True)
    pickle.loads(pickle.dumps(Planted(tmp_path / "proof")))
    assert (tmp_path / "proof").exists()  # the trap is a live one
    before = tree_digest(folder)
    dataset = open_dataset(folder)
    assert kinds(dataset) == {"planted_cache": 1}
    assert name.format(split=split) in dataset.defects[0].examples[0]
    inspect_dataset(dataset)
    exported = export_yolo(dataset, tmp_path / "out").parent
    assert not [path for path in exported.rglob("*") if path.suffix in (".cache", ".npy")]
    assert not marker.exists()
    assert tree_digest(folder) == before


def test_errors_of_the_disk_are_told_in_one_line(folder: Path) -> None:
    describe(folder, train="x" * 5000)
    with pytest.raises(DatasetError, match="nothing to read is there"):
        open_dataset(folder)
