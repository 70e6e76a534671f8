"""Masks in grey: levels that a legend names, white of one class, opacity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from tests.datasets.outlined import CLASSES, SIDE, scenes


def grey_masks(folder: Path, levels: tuple[int, int], suffix: str = ".png") -> Path:
    """Six pictures with a mask each, the two classes at these levels."""
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for scene in scenes(6):
        scene.image.save(folder / "images" / f"{scene.name}.png")
        mask_HW = np.zeros((SIDE[1], SIDE[0]), np.uint8)
        for kind, own_HW in scene.masks():
            mask_HW[own_HW > 0] = levels[CLASSES.index(kind)]
        Image.fromarray(mask_HW).save(folder / "masks" / f"{scene.name}{suffix}")
    return folder


LEGENDS: dict[str, tuple[str, str]] = {
    "JSON, name and level": ("classes.json", '{"background": 0, "corner": 85, "wedge": 170}'),
    "JSON, level and name": ("id2label.json", '{"0": "background", "85": "corner", "170": "wedge"}'),
    "CSV": ("legend.csv", "value,name\n0,background\n85,corner\n170,wedge\n"),
}


@pytest.mark.parametrize("case", LEGENDS)
def test_grey_levels_take_their_classes_from_a_legend(tmp_path: Path, case: str) -> None:
    folder = grey_masks(tmp_path, (85, 170))
    (folder / LEGENDS[case][0]).write_text(LEGENDS[case][1])
    assert open_dataset(folder, task="segment").class_names == CLASSES


def test_values_that_the_legend_does_not_name_are_refused_with_both(tmp_path: Path) -> None:
    folder = grey_masks(tmp_path, (85, 170))
    (folder / "classes.txt").write_text("background\ncorner\nwedge\n")
    with pytest.raises(DatasetError, match=r"values 85, 170, and their legend names 1, 2"):
        open_dataset(folder)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_white_has_the_one_name_of_a_list(tmp_path: Path, suffix: str) -> None:
    folder = grey_masks(tmp_path, (255, 255), suffix)
    (folder / "classes.txt").write_text("background\npolyp\n")
    assert open_dataset(folder, task="segment").class_names == ("polyp",)
    (folder / "classes.txt").write_text("background\npolyp\nvessel\n")
    with pytest.raises(DatasetError, match=r"JPEG keeps no number|their legend names"):
        open_dataset(folder)


def test_a_mask_may_show_its_object_by_opacity_alone(tmp_path: Path) -> None:
    folder = grey_masks(tmp_path, (255, 255))
    expected = open_dataset(folder, task="segment").content_hash
    for path in (folder / "masks").iterdir():
        alpha = Image.open(path).convert("L")
        opaque = Image.new("L", alpha.size, 255)
        Image.merge("RGBA", (opaque, opaque, opaque, alpha)).save(path)
    assert open_dataset(folder, task="segment").content_hash == expected
