"""D5: one decoder, with a defined answer for every kind of image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import ImageError, export_yolo, inspect_dataset, open_dataset, read_image
from recommender.datasets.images import read_header
from tests.datagen import make_dataset, yolo_rows
from tests.datasets.helpers import kinds, tree_digest, yolo_set

WIDTH, HEIGHT = 96, 80


def picture() -> Image.Image:
    """A smooth picture without symmetry, red to the right, green downward."""
    x, y = np.meshgrid(np.linspace(0, 255, WIDTH), np.linspace(0, 255, HEIGHT))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))


RGB = np.asarray(picture())
GREY = np.asarray(picture().convert("L"))


def save(path: Path, image: Image.Image, format_name: str, **options: Any) -> Path:
    image.save(path, format_name, **options)
    return path


@pytest.mark.parametrize(
    ("format_name", "mode", "tolerance"),
    [
        ("PNG", "RGB", 0),
        ("PNG", "RGBA", 0),
        ("PNG", "LA", 0),
        ("PNG", "L", 0),
        ("PNG", "P", 60),
        ("PNG", "1", 0),
        ("BMP", "RGB", 0),
        ("TIFF", "RGB", 0),
        ("TIFF", "CMYK", 12),
        ("GIF", "P", 60),
        ("JPEG", "RGB", 12),
        ("JPEG", "L", 12),
        ("JPEG", "CMYK", 12),
        ("WEBP", "RGB", 30),
        ("WEBP", "RGBA", 30),
        ("JPEG2000", "RGB", 12),
        ("AVIF", "RGB", 30),
    ],
)
def test_modes(tmp_path: Path, format_name: str, mode: str, tolerance: int) -> None:
    image = picture().quantize(256) if mode == "P" else picture().convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))))
    pixels_HW3 = read_image(save(tmp_path / "image", image, format_name))
    assert pixels_HW3.shape == (HEIGHT, WIDTH, 3)
    assert pixels_HW3.dtype == np.uint8
    expected = np.repeat(GREY[:, :, None], 3, axis=2) if mode in ("L", "LA", "1") else RGB
    if mode == "1":  # dithered: only its mean is like the picture's
        assert set(np.unique(pixels_HW3)) == {0, 255}
        assert abs(pixels_HW3.mean() - GREY.mean()) < 5
        return
    assert np.abs(pixels_HW3.astype(int) - expected).max() <= tolerance
    assert np.abs(pixels_HW3.astype(int) - expected).mean() <= 10


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path, format_name: str) -> None:
    image = Image.fromarray((GREY.astype(np.uint16) << 8) + 7)
    assert (read_image(save(tmp_path / "image", image, format_name)) == GREY[:, :, None]).all()


@pytest.mark.parametrize("bits", [12, 16])
def test_images_that_use_few_of_sixteen_bits_are_told(bits: int, tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    for path in sorted((folder / "images" / "train").iterdir())[:3]:
        with Image.open(path) as image:
            grey_HW = np.asarray(image.convert("L")).astype(np.uint16)
        Image.fromarray(grey_HW << (bits - 8)).save(path)
    assert kinds(open_dataset(folder)) == ({"image_low_bits": 3} if bits == 12 else {})


def test_floats_run_from_their_minimum_to_their_maximum(tmp_path: Path) -> None:
    values = np.linspace(-3, 5, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
    values[0, 1] = np.nan
    pixels_HW3 = read_image(save(tmp_path / "image", Image.fromarray(values), "TIFF"))
    assert (pixels_HW3.min(), pixels_HW3.max()) == (0, 255)
    assert abs(int(pixels_HW3[HEIGHT // 2, 0, 0]) - 127) <= 2


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, format_name: str, orientation: int) -> None:
    turned_back = {
        1: [], 2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE], 6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE], 8: [Image.Transpose.ROTATE_270],
    }[orientation]  # fmt: skip
    stored = picture()
    for operation in turned_back:
        stored = stored.transpose(operation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "image", stored, format_name, exif=exif)
    header = read_header(path)
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    assert np.abs(read_image(path).astype(int) - RGB).max() <= 30


def test_animation_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [picture(), Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 0))]
    for format_name in ("GIF", "WEBP", "PNG", "TIFF"):
        path = tmp_path / format_name
        frames[0].save(path, format_name, save_all=True, append_images=frames[1:])
        assert np.abs(read_image(path).astype(int) - RGB).mean() < 30


def test_reduced_decoding_stays_at_or_above_the_side_asked(tmp_path: Path) -> None:
    path = save(tmp_path / "image.jpg", picture().resize((960, 800)), "JPEG", quality=95)
    whole = read_image(path)
    assert read_image(path, max_side=960).shape == (800, 960, 3)
    for side, shape in ((480, (400, 480, 3)), (241, (400, 480, 3)), (100, (100, 120, 3)), (1, (100, 120, 3))):
        reduced = read_image(path, max_side=side)
        assert reduced.shape == shape
        expected = np.asarray(Image.fromarray(whole).resize(shape[1::-1], Image.Resampling.BOX), np.int64)
        assert np.abs(reduced.astype(int) - expected).mean() < 3  # and RGB, not BGR


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("empty.jpg", "image_empty"),
        ("text.jpg", "image_unreadable"),
        ("truncated.jpg", "image_truncated"),
        ("truncated.png", "image_truncated"),
        ("truncated.webp", "image_unreadable"),
        ("truncated.bmp", "image_truncated"),
        ("truncated.gif", "image_truncated"),
        ("truncated.tif", "image_truncated"),
        ("one.png", "image_too_small"),
        ("folder.jpg", None),
    ],
)
def test_broken_images_are_counted_and_left_out(tmp_path: Path, name: str, kind: str | None) -> None:
    folder = yolo_set(tmp_path / "set")
    place = folder / "images" / "train" / name
    (folder / "labels" / "train" / f"{place.stem}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    format_name = {
        ".jpg": "JPEG",
        ".png": "PNG",
        ".webp": "WEBP",
        ".bmp": "BMP",
        ".gif": "GIF",
        ".tif": "TIFF",
    }
    buffer = io.BytesIO()
    picture().save(buffer, format_name[place.suffix])
    content = {
        "empty": b"",
        "text": b"hello, not an image",
        "truncated": buffer.getvalue()[: len(buffer.getvalue()) * 2 // 3],
    }.get(place.stem)
    if place.stem == "one":
        Image.new("RGB", (1, 1)).save(place)
    elif content is None:
        place.mkdir()
    else:
        place.write_bytes(content)
    before = tree_digest(folder)
    dataset = open_dataset(folder)
    assert kinds(dataset) == ({kind: 1} if kind else {"label_without_image": 1})
    assert len(dataset.images) == 12
    if kind and kind != "image_too_small":
        with pytest.raises(ImageError) as caught:
            read_image(place)
        assert caught.value.kind == kind
    assert tree_digest(folder) == before


def test_wrong_extension_is_told_and_read(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    path = folder / "images" / "train" / "shape_0000.png"
    path.rename(path.with_suffix(".jpg"))
    dataset = open_dataset(folder)
    assert kinds(dataset) == {"image_wrong_extension": 1}
    exported = export_yolo(dataset, tmp_path / "out").parent
    assert sorted(path.suffix for path in (exported / "images").rglob("*.*")) == [".png"] * 12


@pytest.mark.parametrize("suffix", [".jfif", ".jpe"])
def test_jpegs_called_otherwise_are_trained_on_under_another_name(tmp_path: Path, suffix: str) -> None:
    folder = make_dataset(tmp_path / "set", images=12, suffix=".jpg")
    assert open_dataset(folder).config == folder / "data.yaml"
    for path in folder.rglob("*.jpg"):
        path.rename(path.with_suffix(suffix))
    dataset = open_dataset(folder)
    assert (len(dataset.images), dataset.defects, dataset.config) == (12, (), None)
    data = export_yolo(dataset, tmp_path / "copy")
    assert len(list(data.parent.rglob("*.jpg"))) == 12


def test_damage_inside_an_image_is_found_by_inspection(tmp_path: Path) -> None:
    folder = yolo_set(tmp_path / "set")
    path = folder / "images" / "train" / "shape_0000.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    dataset = open_dataset(folder)
    found = {defect.kind for defect in inspect_dataset(dataset).defects}
    assert "image_truncated" in found
    exported = export_yolo(dataset, tmp_path / "out").parent
    assert len(list((exported / "images").rglob("*.png"))) == 11


def test_a_set_of_every_kind_is_exported_as_every_reader_sees_it(tmp_path: Path) -> None:
    """Our decoder shows the pixels that ultralytics decodes with OpenCV, and the user's files stay."""
    import cv2

    folder = yolo_set(tmp_path / "set")
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds_saved: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("cmyk.jpg", picture().convert("CMYK"), {}),
        ("grey.jpg", picture().convert("L"), {}),
        ("turned.jpg", picture(), {"exif": exif}),
        ("deep.png", Image.fromarray(GREY.astype(np.uint16) << 8), {}),
        ("alpha.png", picture().convert("RGBA"), {}),
        ("palette.png", picture().convert("P"), {"transparency": 0}),
        ("moving.gif", picture(), {"save_all": True, "append_images": [picture().convert("L")]}),
        ("photo.webp", picture(), {}),
        ("scan.tif", picture(), {}),
        ("plain.bmp", picture(), {}),
    ]
    for name, image, options in kinds_saved:
        path = folder / "images" / "train" / name
        image.save(path, **options)
        (folder / "labels" / "train" / f"{path.stem}.txt").write_text("0 0.25 0.5 0.2 0.1\n")
    before = tree_digest(folder)
    dataset = open_dataset(folder)
    inspect_dataset(dataset)
    exported = export_yolo(dataset, tmp_path / "out").parent
    assert tree_digest(folder) == before
    by_stem = {path.stem.split("_", 1)[1]: path for path in (exported / "images").rglob("*.*")}
    assert len(by_stem) == len(dataset.images) == 22
    for entry in dataset.images:
        seen = np.asarray(cv2.imread(str(by_stem[entry.path.stem]), cv2.IMREAD_COLOR_RGB))
        assert seen.shape[:2] == (entry.height, entry.width)
        assert np.abs(seen.astype(int) - read_image(entry.path)).max() <= 12
    copied = {path.read_bytes() for path in (exported / "images").rglob("*.*")}
    assert (folder / "images" / "train" / "shape_0000.png").read_bytes() in copied
    assert (folder / "images" / "train" / "grey.jpg").read_bytes() in copied
    assert (folder / "images" / "train" / "turned.jpg").read_bytes() not in copied


def test_pixel_boxes_turn_with_a_photo_annotated_unturned(tmp_path: Path) -> None:
    """LabelImg shows a photo without EXIF; its boxes refer to the stored pixels."""
    from tests.datagen import draw_images, make_dataset

    folder = make_dataset(tmp_path / "voc", format="voc")
    upright = make_dataset(tmp_path / "yolo", format="yolo")
    drawn = draw_images(12, ("circle", "square"))[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by 90°
    drawn.image.save(folder / "JPEGImages" / "shape_0000.png", exif=exif)
    drawn.image.transpose(Image.Transpose.ROTATE_270).save(upright / "images" / "train" / "shape_0000.png")
    rows = [row.split() for row in yolo_rows(drawn).splitlines()]
    turned = [f"{c} {1 - float(y):.7f} {x} {h} {w}" for c, x, y, w, h in rows]
    (upright / "labels" / "train" / "shape_0000.txt").write_text("\n".join(turned) + "\n")
    found, wanted = (open_dataset(place).of_split("train")[0] for place in (folder, upright))
    assert (found.width, found.height) == (wanted.width, wanted.height) == (80, 96)
    np.testing.assert_allclose(found.boxes_M4, wanted.boxes_M4, atol=1e-5)
