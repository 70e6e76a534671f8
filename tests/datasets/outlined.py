"""A drawn instance segmentation set, handed to writers of the forms it comes in: an L and a triangle a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = (96, 72)  # width, height
CLASSES = ("corner", "wedge")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture and the points of its objects in pixels, class first."""

    name: str
    split: str
    image: Image.Image
    objects: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]

    def masks(self) -> list[tuple[str, NDArray[np.uint8]]]:
        """Each object drawn alone, HW of 0 and 1."""
        drawn = []
        for kind, points in self.objects:
            mask = Image.new("L", SIDE, 0)
            ImageDraw.Draw(mask).polygon(list(points), fill=1)
            drawn.append((kind, np.asarray(mask)))
        return drawn


def scenes(count: int = 8, seed: int = 0) -> list[Scene]:
    """So many pictures, every fourth in val; every object lies within its picture, apart from the others."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        image = Image.fromarray(rng.integers(60, 120, (SIDE[1], SIDE[0], 3), np.uint8))
        draw = ImageDraw.Draw(image)
        objects = []
        for left, kind in ((2, "corner"), (50, "wedge")):
            x, y = left + int(rng.integers(0, 8)), 4 + int(rng.integers(0, 20))
            size = 20 + int(rng.integers(0, 14))
            points: tuple[tuple[float, float], ...] = (
                (x, y + size),
                (x + size, y + size),
                (x + size // 2, y),
            )
            if kind == "corner":
                half = size // 2
                points = ((x, y), (x + half, y), (x + half, y + half), (x + size, y + half))
                points += ((x + size, y + size), (x, y + size))
            draw.polygon(list(points), fill=(230, 40, 40) if kind == "corner" else (40, 40, 230))
            objects.append((kind, points))
        split = "val" if number % 4 == 3 else "train"
        made.append(Scene(name=f"scene_{number}", split=split, image=image, objects=tuple(objects)))
    return made


def write_yolo_seg(folder: Path, made: list[Scene]) -> Path:
    """images/, labels/ and data.yaml."""
    for scene in made:
        for kind in ("images", "labels"):
            (folder / kind / scene.split).mkdir(parents=True, exist_ok=True)
        scene.image.save(folder / "images" / scene.split / f"{scene.name}.png")
        rows = []
        for kind, points in scene.objects:
            values = [f"{value / SIDE[axis]:.6f}" for point in points for axis, value in enumerate(point)]
            rows.append(" ".join([str(CLASSES.index(kind)), *values]))
        (folder / "labels" / scene.split / f"{scene.name}.txt").write_text("\n".join(rows) + "\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [corner, wedge]\n")
    return folder
