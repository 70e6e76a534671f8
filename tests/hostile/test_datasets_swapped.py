"""Data sets that change while they are read, and that expand to more than they look like."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from recommender.datasets import DatasetLimits, Disk, ImageError, export_yolo, open_dataset, read_image
from recommender.datasets.decoding_memory import PixelBudget
from recommender.errors import DatasetError, UnsafeInputError
from recommender.home import subfolder
from recommender.text import shell_join
from tests.datagen import make_dataset, zip_of
from tests.datasets.helpers import yolo_set


def swapped(folder: Path, other: Path) -> None:
    """Put a link to `other` where a real folder was."""
    folder.rename(folder.with_name(f"{folder.name}-was"))
    folder.symlink_to(other, target_is_directory=True)


def test_a_folder_swapped_after_it_was_listed_is_not_read(tmp_path: Path) -> None:
    folder, secret = yolo_set(tmp_path / "set"), yolo_set(tmp_path / "secret")
    disk = Disk((folder.resolve(),))
    label = folder / "labels" / "train" / "shape_0000.txt"
    assert disk.read_text(label, 10_000)
    swapped(folder / "labels", secret / "labels")
    with pytest.raises(UnsafeInputError, match="leads out"):
        disk.read_text(label, 10_000)
    with pytest.raises(UnsafeInputError, match="leads out"):
        disk.head(label, 10)
    with pytest.raises(UnsafeInputError, match="leads out"):
        disk.listing(folder / "labels" / "val")


def test_the_root_itself_swapped_is_not_followed_again(tmp_path: Path) -> None:
    folder, secret = yolo_set(tmp_path / "set"), yolo_set(tmp_path / "secret")
    disk = Disk((folder.resolve(),))
    swapped(folder, secret)
    with pytest.raises(UnsafeInputError, match="leads out"):
        disk.listing(folder / "images" / "train")
    with pytest.raises(UnsafeInputError, match="through a link"):
        open_dataset(folder, follow_links=False)
    assert open_dataset(folder).images  # a user's own link is followed


def test_images_of_a_swapped_folder_are_neither_shown_nor_trained_on(tmp_path: Path) -> None:
    folder, secret = yolo_set(tmp_path / "set"), make_dataset(tmp_path / "secret", seed=5)
    dataset = open_dataset(folder)
    swapped(folder / "images", secret / "images")
    with pytest.raises(ImageError, match="through a link"):
        read_image(dataset.images[0].path)
    with pytest.raises(DatasetError, match="changed after"):
        export_yolo(dataset, tmp_path / "copy")


def test_links_within_the_set_stay_allowed(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    expected = open_dataset(folder)
    pool = folder / "pool"
    pool.mkdir()
    for path in list((folder / "images" / "train").iterdir()):
        path.rename(pool / path.name)
        path.symlink_to(pool / path.name)
    found = open_dataset(folder / "data.yaml")
    assert found.content_hash == expected.content_hash
    assert all(read_image(image.path).shape[2] == 3 for image in found.images)


def test_a_refused_archive_leaves_nothing_on_the_disk(home: Path, tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    shutil.rmtree(folder / "labels")
    (folder / "data.yaml").unlink()
    with pytest.raises(DatasetError):
        open_dataset(zip_of(folder, tmp_path / "set.zip"))
    assert list(subfolder("unpacked").iterdir()) == []
    good = zip_of(yolo_set(tmp_path / "good"), tmp_path / "good.zip")
    assert open_dataset(good).images
    assert len(list(subfolder("unpacked").iterdir())) == 1


def test_json_is_bounded_by_what_it_expands_to(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "set", format="coco_file", images=24)
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = [[]] * 100_000
    path.write_text(json.dumps(content, separators=(",", ":")))
    with pytest.raises(UnsafeInputError, match="MB in memory"):
        open_dataset(path, limits=DatasetLimits(json_memory_bytes=8 * 1024 * 1024))
    assert open_dataset(path).images


def test_large_images_are_decoded_one_at_a_time() -> None:
    gate, inside, most = PixelBudget(100), [0], [0]
    lock = threading.Lock()

    def decode(pixels: int) -> None:
        for _ in range(20):
            with gate(pixels):
                with lock:
                    inside[0] += min(pixels, 100)
                    most[0] = max(most[0], inside[0])
                os.sched_yield()
                with lock:
                    inside[0] -= min(pixels, 100)

    threads = [threading.Thread(target=decode, args=(pixels,)) for pixels in (10, 40, 60, 100, 5000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert 0 < most[0] <= 100


def test_commands_with_escapes_can_be_shown_and_run() -> None:
    word = "a b\x1b[31m'é"
    line = shell_join(["printf", "%s", word])
    assert line.isprintable()
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout.decode() == word
    assert shell_join(["a b", "c"]) == "'a b' c"
