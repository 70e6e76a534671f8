"""Masks with softened edges, and masks whose names say more than a class."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from recommender.datasets import open_dataset
from recommender.datasets.mask_edges import snapped
from recommender.datasets.mask_legends import Legend
from recommender.errors import DatasetError
from tests.datasets.helpers import kinds
from tests.datasets.outlined import CLASSES, COLOURS, SIDE, Scene, scenes
from tests.datasets.test_outline_formats import worst_overlap

LEGEND = "name,r,g,b\ncorner,128,0,0\nwedge,0,128,64\nvoid,0,0,0\n"


def pictures(folder: Path, made: list[Scene]) -> None:
    for scene in made:
        (folder / scene.split / "images").mkdir(parents=True, exist_ok=True)
        scene.image.save(folder / scene.split / "images" / f"{scene.name}.png")


def save(pixels: NDArray[np.uint8], path: Path, edges: str) -> None:
    """As PNG with sharp or scaled edges, or as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    if edges == "JPEG":
        picture.save(path.with_suffix(".jpg"), quality=85)
        return
    if edges == "scaled":
        picture = picture.resize((2 * SIDE[0], 2 * SIDE[1]), Image.Resampling.BICUBIC).resize(
            SIDE, Image.Resampling.BILINEAR
        )
    picture.save(path.with_suffix(".png"))


def colours(scene: Scene) -> NDArray[np.uint8]:
    drawn = np.zeros((SIDE[1], SIDE[0], 3), np.uint8)
    for kind, mask_HW in scene.masks():
        drawn[mask_HW > 0] = COLOURS[kind]
    return drawn


@pytest.mark.parametrize("edges", ["scaled", "JPEG"])
@pytest.mark.parametrize("form", ["colours", "class folders"])
def test_softened_edges_go_to_the_nearest_and_are_told(tmp_path: Path, form: str, edges: str) -> None:
    made = scenes(4)
    pictures(tmp_path, made)
    for scene in made:
        masks = tmp_path / scene.split / "masks"
        if form == "colours":
            save(colours(scene), masks / scene.name, edges)
            continue
        for kind, mask_HW in scene.masks():
            save(mask_HW * 255, masks / kind / scene.name, edges)
    if form == "colours":
        (tmp_path / "class_dict.csv").write_text(LEGEND)
    found = open_dataset(tmp_path)
    assert (found.task, found.class_names) == ("segment", CLASSES)
    assert worst_overlap(found, made) > 0.85
    assert kinds(found).keys() == {"mask_soft", "task_segment"}


def test_a_few_values_between_are_edges_in_a_mask_of_one_class_where_they_are_thin(tmp_path: Path) -> None:
    made = scenes(4)
    pictures(tmp_path, made)
    for scene in made:
        for kind, mask_HW in scene.masks():
            pixels = mask_HW * np.uint8(255)
            pixels[(mask_HW > 0) & (np.roll(mask_HW, 1, axis=1) == 0)] = 160
            save(pixels, tmp_path / scene.split / "masks" / f"{scene.name}_{kind}", "sharp")
    found = open_dataset(tmp_path)
    assert worst_overlap(found, made) > 0.95
    assert kinds(found)["mask_soft"] == 8
    wide = tmp_path / "train" / "masks" / "scene_0_corner.png"
    pixels = np.asarray(Image.open(wide)).copy()
    pixels[40:60, 60:80] = 160
    Image.fromarray(pixels).save(wide)
    with pytest.raises(DatasetError, match="holds 2 values, and by its name or folder it shows one"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("edges", ["scaled", "JPEG"])
def test_an_area_of_a_colour_that_the_legend_lacks_stays_foreign(tmp_path: Path, edges: str) -> None:
    made = scenes(4)
    pictures(tmp_path, made)
    for scene in made:
        pixels = colours(scene)
        pixels[62:72, 2:40] = (250, 250, 250)
        save(pixels, tmp_path / scene.split / "masks" / scene.name, edges)
    (tmp_path / "class_dict.csv").write_text(LEGEND)
    found = open_dataset(tmp_path)
    assert kinds(found)["mask_value_unknown"] >= 4
    assert worst_overlap(found, made) > 0.85


def test_one_foreign_colour_is_a_drawn_border(tmp_path: Path) -> None:
    made = scenes(4)
    pictures(tmp_path, made)
    for scene in made:
        pixels = colours(scene)
        shown = pixels.any(axis=2)
        pixels[shown & ~np.roll(shown, 1, axis=1)] = (224, 224, 192)
        save(pixels, tmp_path / scene.split / "masks" / scene.name, "sharp")
    (tmp_path / "class_dict.csv").write_text(LEGEND)
    assert kinds(open_dataset(tmp_path)) == {"mask_value_unknown": 4, "task_segment": 1}


def test_two_classes_in_colours_without_a_legend_are_no_softened_edges(tmp_path: Path) -> None:
    made = scenes(4)
    pictures(tmp_path, made)
    for scene in made:
        drawn = np.zeros((SIDE[1], SIDE[0], 3), np.uint8)
        for (_, mask_HW), colour in zip(scene.masks(), ((255, 0, 0), (0, 0, 255)), strict=True):
            drawn[mask_HW > 0] = colour
        save(drawn, tmp_path / scene.split / "masks" / scene.name, "scaled")
    with pytest.raises(DatasetError, match="several colours or numbers"):
        open_dataset(tmp_path)


def test_open_images_masks_are_called_after_image_class_and_box(tmp_path: Path) -> None:
    made = scenes(4)
    pictures(tmp_path, made)
    for scene in made:
        for number, (kind, mask_HW) in enumerate(scene.masks()):
            word = {"corner": "01yrx", "wedge": "0bt9_lr"}[kind]
            name = f"{scene.name}_m{word}_{number * 7919 + 2**28:08x}"
            save(mask_HW * 255, tmp_path / scene.split / "masks" / name, "sharp")
    found = open_dataset(tmp_path)
    assert found.class_names == ("/m/01yrx", "/m/0bt9_lr")
    assert [len(image.classes_M) for image in found.images] == [2] * 4


def test_names_that_differ_from_mask_to_mask_are_no_classes(tmp_path: Path) -> None:
    made = scenes(24)
    pictures(tmp_path, made)
    for number, scene in enumerate(made):
        save(
            scene.masks()[0][1] * 255,
            tmp_path / scene.split / "masks" / f"{scene.name}_by{number}ann",
            "sharp",
        )
    with pytest.raises(DatasetError, match="called after 24 classes, and there are 24"):
        open_dataset(tmp_path)


def test_thin_lines_of_another_value_are_no_edges(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (number * 9, 80, 40)).save(tmp_path / "images" / f"{number}.png")
        pixels = np.zeros((48, 64), np.uint8)
        pixels[4:24, 4:30] = 255
        pixels[10:12, 30:60] = 100  # begins at the area
        save(pixels, tmp_path / "masks" / "lane" / str(number), "sharp")
    with pytest.raises(DatasetError, match="holds 2 values, and by its name or folder it shows one"):
        open_dataset(tmp_path)


def test_a_photo_called_a_mask_takes_little_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values_HW = rng.integers(0, 2**24, (300, 400), dtype=np.int32)
    legend = Legend(
        by_colour=True, names={n * 80_000: f"class {n}" for n in range(1, 100)}, background=frozenset({0})
    )
    tracemalloc.start()
    snapped(values_HW, legend, tmp_path / "photo.jpg")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6  # all distances at once took 290 MB
