"""D10: the content hash is of content alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image

from recommender.datasets import open_dataset
from tests.datasets.helpers import yolo_set


def hash_of(folder: Path) -> str:
    return open_dataset(folder).content_hash


def test_place_names_order_and_time_do_not_matter(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "a")
    expected = hash_of(folder)
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "b"))
    for number, path in enumerate(sorted((moved / "images" / "train").iterdir(), reverse=True)):
        label = moved / "labels" / "train" / f"{path.stem}.txt"
        rows = label.read_text().splitlines()
        label.write_text("\n".join(reversed(rows)))
        label.rename(label.with_name(f"{number}.txt"))
        path.rename(path.with_name(f"{number}.png"))
        os.utime(moved / "images" / "train" / f"{number}.png", (1, 1))
    assert hash_of(moved) == expected


def test_an_edit_with_its_time_kept_is_caught(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    hashes = {hash_of(folder)}

    def edited(path: Path, data: bytes) -> None:
        before = path.stat()
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        hashes.add(hash_of(folder))

    label = folder / "labels" / "train" / "shape_0000.txt"
    text = label.read_text()
    edited(label, text.replace("0 0.", "1 0.", 1).encode())
    x = text.split()[1]
    edited(label, text.replace(x, f"{float(x) + 1e-3:.7f}", 1).encode())
    image = folder / "images" / "train" / "shape_0001.png"
    pixels = Image.open(image).convert("RGB")
    pixels.putpixel((3, 3), (1, 2, 3))
    pixels.save(image)
    edited(image, image.read_bytes())
    description = folder / "data.yaml"
    edited(description, description.read_bytes().replace(b"circle", b"cirque"))
    assert len(hashes) == 5


def test_splits_matter(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    expected = hash_of(folder)
    for kind, suffix in (("images", "png"), ("labels", "txt")):
        (folder / kind / "train" / f"shape_0000.{suffix}").rename(
            folder / kind / "val" / f"shape_0000.{suffix}"
        )
    assert hash_of(folder) != expected


def test_rounding_of_formats_does_not_matter(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    for number in range(9):
        (folder / "labels" / "train" / f"shape_{number:04d}.txt").write_text("0 0.123456 0.5 0.2 0.1\n")
    expected = hash_of(folder)
    for number in range(9):
        (folder / "labels" / "train" / f"shape_{number:04d}.txt").write_text(
            "0 0.1234563 0.50000 0.2000001 0.1\n"
        )
    assert hash_of(folder) == expected
