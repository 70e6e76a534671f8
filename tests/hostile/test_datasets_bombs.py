"""D2, D4, D8: small files that grow, and large ones that must not hurt."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path

import pytest

from recommender.datasets import DatasetLimits, ImageError, open_dataset, read_image
from recommender.errors import DatasetError, UnsafeInputError
from tests.datagen import make_dataset
from tests.datasets.helpers import kinds, yolo_set
from tests.hostile.limited import open_limited

pytestmark = pytest.mark.slow  # every file is read in a process of its own


def alias_bomb() -> str:
    lines = ['a0: &a0 ["x","x","x","x","x","x","x","x","x"]']
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join(lines) + "\ntrain: images/train\nval: images/val\nnames: *a11\n"


PLAIN = "train: images/train\nval: images/val\nnames: [circle, square]\n"
YAMLS = {
    "aliases": alias_bomb(),
    "deep flow": PLAIN + "x: " + "[" * 400_000,
    "deep maps": PLAIN + "x: " + "{a: " * 100_000,
    "deep blocks": PLAIN + "x:\n" + "".join(" " * i + "-\n" for i in range(1, 1200)),
    "merge": "base: &b {train: images/train}\n<<: *b\nval: images/val\nnames: [a]\n",
    "huge": PLAIN + "# " + "x" * 50_000_000,
    "tags": PLAIN + "x: !!python/object/apply:os.system ['touch ran']\n" + "y: " + "[" * 100,
}


@pytest.mark.parametrize("name", YAMLS)
def test_yaml_bombs_are_refused_fast_and_small(tmp_path: Path, name: str) -> None:
    folder = yolo_set(tmp_path)
    (folder / "data.yaml").write_text(YAMLS[name])
    measured = open_limited(folder, memory_mb=1024)
    assert str(measured.outcome).startswith("UnsafeInputError"), measured
    assert measured.seconds < 1, measured
    assert measured.grown_mb < 200, measured


def test_tags_build_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = yolo_set(tmp_path)
    monkeypatch.chdir(tmp_path)
    (folder / "data.yaml").write_text(PLAIN + "x: !!python/object/apply:os.system ['touch ran']\n")
    assert len(open_dataset(folder).images) == 12
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "names: [a\n", "names: {a: b}\n" + PLAIN[:40], PLAIN.replace("[circle, square]", "{-1: a}"),
        PLAIN.replace("[circle, square]", "{99999999999999999999: a}"), PLAIN.replace("images/train", "{a: b}"),
        PLAIN + "nc: many\n", PLAIN + "nc: 99999999999\n", PLAIN + "path: [a]\n", PLAIN.replace("[circle", "[[x]"),
        PLAIN + "\0", "\tx: 1", PLAIN + "nc: -1\n", PLAIN.replace("[circle, square]", "7"),
    ],
)  # fmt: skip
def test_broken_descriptions_are_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    folder = yolo_set(tmp_path)
    (folder / "data.yaml").write_text(text)
    with pytest.raises(DatasetError, match=r"data\.yaml"):
        open_dataset(folder / "data.yaml")
    (folder / "data.yaml").write_bytes(PLAIN.encode("latin-1") + b"\xe9: 1\n")
    with pytest.raises(DatasetError, match="not UTF-8"):
        open_dataset(folder)


def test_a_description_that_ultralytics_cannot_read_is_none_to_train_by(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    (folder / "data.yaml").write_text(PLAIN)
    assert open_dataset(folder).config is not None
    (folder / "data.yaml").write_bytes(PLAIN.encode("utf-16"))
    read = open_dataset(folder)
    assert read.class_names == ("circle", "square")
    assert read.config is None


def png_of(width: int, height: int) -> bytes:
    """A valid grey PNG of that size in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = zlib.compressobj(9)
    line = b"\0" * (width // 8 + 1)
    body = b"".join(row.compress(line) for _ in range(height)) + row.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_image_bombs_are_refused_from_the_header(tmp_path: Path, side: int) -> None:
    folder = yolo_set(tmp_path)
    bomb = folder / "images" / "train" / "bomb.png"
    bomb.write_bytes(png_of(side, side))
    (folder / "labels" / "train" / "bomb.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    assert bomb.stat().st_size < 100_000
    dataset = open_dataset(folder)
    assert kinds(dataset) == {"image_too_large": 1}
    assert f"{side}×{side}" in dataset.defects[0].examples[0]
    with pytest.raises(ImageError, match="megapixels"):
        read_image(bomb)
    measured = open_limited(folder)
    assert measured.outcome == 12
    assert measured.grown_mb < 60, measured  # decoded it takes 100 or 400 MB a channel


@pytest.mark.parametrize("format_name", ["TIFF", "WEBP", "GIF", "BMP", "JPEG"])
def test_every_format_is_measured_by_its_header(tmp_path: Path, format_name: str) -> None:
    from PIL import Image

    path = tmp_path / "image"
    Image.new("L", (300, 200)).save(path, format_name)
    assert read_image(path, max_pixels=60_000).shape == (200, 300, 3)
    with pytest.raises(ImageError, match="300×200"):
        read_image(path, max_pixels=59_999)


def test_limits_are_kept(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "yolo")
    with pytest.raises(UnsafeInputError, match="more than 10 files"):
        open_dataset(folder, limits=DatasetLimits(num_files=10))
    with pytest.raises(DatasetError, match="image_too_large"):
        open_dataset(folder, limits=DatasetLimits(image_bytes=100))
    with pytest.raises(DatasetError, match="label_too_large"):
        open_dataset(folder, limits=DatasetLimits(label_rows=1))
    with pytest.raises(DatasetError, match="label_too_large"):
        open_dataset(folder, limits=DatasetLimits(label_file_bytes=10))
    with pytest.raises(DatasetError, match="at most 1"):
        open_dataset(folder, limits=DatasetLimits(num_classes=1))
    with pytest.raises(UnsafeInputError, match="folders deep"):
        open_dataset(folder, limits=DatasetLimits(folder_depth=-1))
    with pytest.raises(UnsafeInputError, match="at most 100 are read"):
        open_dataset(make_dataset(tmp_path / "coco", format="coco"), limits=DatasetLimits(json_bytes=100))


def test_empty_labels_and_one_image(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "a")
    for path in (folder / "labels").rglob("*.txt"):
        path.write_text("")
    with pytest.raises(DatasetError, match="not one box"):
        open_dataset(folder)
    for split in ("train", "val"):
        folder = yolo_set(tmp_path / split)
        for path in (folder / "labels" / split).iterdir():
            path.write_text("")
        with pytest.raises(DatasetError, match=f"The {split} split"):
            open_dataset(folder)
    with pytest.raises(DatasetError, match="1 different image"):
        open_dataset(make_dataset(tmp_path / "one", format="coco_file", images=1))
    single = open_dataset(make_dataset(tmp_path / "class", classes=("only",), images=2))
    assert single.class_names == ("only",)


def test_deeply_nested_json_is_survived(tmp_path: Path) -> None:
    path = make_dataset(tmp_path, format="coco_file")
    path.write_text(json.dumps({"images": [], "annotations": []})[:-1] + ', "x": ' + "[" * 10**6 + "}")
    measured = open_limited(path)
    assert str(measured.outcome).startswith("DatasetError"), measured


@pytest.mark.slow
@pytest.mark.slow
def test_twenty_thousand_images_are_opened_in_flat_memory(tmp_path: Path) -> None:
    """D8. One image's bytes under twenty thousand names, by hard links: files enough, disk little."""
    folder = yolo_set(tmp_path, images=4)
    image, label = folder / "images/train/shape_0000.png", folder / "labels/train/shape_0000.txt"
    for number in range(20_000):
        block = f"block{number // 10_000}"
        for kind, source, suffix in (("images", image, "png"), ("labels", label, "txt")):
            place = folder / kind / "train" / block
            if number % 10_000 == 0:  # a file bears 65,000 links
                place.mkdir()
                shutil.copy(source, place / f"{number}.{suffix}")
            else:
                first = place / f"{number // 10_000 * 10_000}.{suffix}"
                (place / f"{number}.{suffix}").hardlink_to(first)
    measured = open_limited(folder, memory_mb=4096)
    assert measured.outcome == 20_004
    assert measured.grown_mb < 120, measured
    assert measured.seconds < 120, measured
