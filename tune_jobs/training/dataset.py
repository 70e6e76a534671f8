"""Our clean export as an ultralytics data set: no label cache on disk, no rewriting of images, nothing fetched."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from ultralytics.data.dataset import YOLODataset

from recommender.families import ModelFamily

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def read_data_yaml(folder: Path) -> dict[str, Any]:
    """The data dictionary ultralytics' trainer expects, from our own data.yaml; nothing is checked online."""
    config = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
    names = config["names"]
    names = dict(enumerate(names)) if isinstance(names, list) else {int(k): str(v) for k, v in names.items()}
    below = folder / "images" if (folder / "images").is_dir() else folder  # of classification: SPLIT/CLASS/
    return {
        "path": folder,
        # By the last part only: an export that was moved to another machine still names its old place.
        "train": str(below / Path(config["train"]).name),
        "val": str(below / Path(config["val"]).name),
        "names": names,
        "nc": len(names),
        "channels": 3,
        "yaml_file": str(folder / "data.yaml"),
    }


def chosen_images(folder: Path, *, fraction: float, seed: int) -> list[str]:
    """Image paths, sorted. A smaller fraction of the same seed is a subset of a larger one."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if fraction < 1.0:
        keep = max(1, round(len(paths) * fraction))
        paths = sorted(
            sorted(paths, key=lambda p: hashlib.sha256(f"{seed}:{p.relative_to(folder)}".encode()).digest())[
                :keep
            ]
        )
    return [str(p) for p in paths]


class CleanDataset(YOLODataset):  # type: ignore[misc]
    """Reads labels itself: ultralytics' label cache is a pickle, and its image check rewrites files."""

    def __init__(
        self, *args: Any, image_fraction: float = 1.0, fraction_seed: int = 0, **kwargs: Any
    ) -> None:
        self._image_fraction = image_fraction
        self._fraction_seed = fraction_seed
        super().__init__(*args, **kwargs)

    def get_img_files(self, img_path: str) -> list[str]:
        return chosen_images(Path(img_path), fraction=self._image_fraction, seed=self._fraction_seed)

    def get_labels(self) -> list[dict[str, Any]]:
        labels = [_read_label(Path(path)) for path in self.im_files]
        self.label_files = [str(_label_path(Path(path))) for path in self.im_files]
        return labels

    def cache_images(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bar knows no switch
            super().cache_images()


class SquareDataset(CleanDataset):
    """Images stretched to a square, for heads whose boxes are fractions of it."""

    def load_image(self, i: int, rect_mode: bool = False) -> Any:
        return super().load_image(i, rect_mode=False)


def dataset_class(family: ModelFamily) -> type[CleanDataset]:
    """The reading of images by a family."""
    return SquareDataset if family.square_images else CleanDataset


def _label_path(image: Path) -> Path:
    parts = list(image.parts)
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts).with_suffix(".txt")


def _read_label(image: Path) -> dict[str, Any]:
    """The label of an image of our export as ultralytics keeps it; rows longer than a box are polygons."""
    with Image.open(image) as header:
        width, height = header.size
    path = _label_path(image)
    rows = (
        [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
        if path.exists()
        else []
    )
    segments = [np.array(row[1:], dtype=np.float32).reshape(-1, 2) for row in rows if len(row) > 5]
    boxes = [_box_around(polygon_P2) for polygon_P2 in segments] or [
        [float(part) for part in row[1:]] for row in rows
    ]
    return {
        "im_file": str(image),
        "shape": (height, width),
        "cls": np.array([row[0] for row in rows], dtype=np.float32).reshape(-1, 1),
        "bboxes": np.array(boxes, dtype=np.float32).reshape(-1, 4),
        "segments": segments,
        "keypoints": None,
        "normalized": True,
        "bbox_format": "xywh",
    }


def _box_around(polygon_P2: np.ndarray[Any, Any]) -> list[float]:
    """Centre and size."""
    low, high = polygon_P2.min(axis=0), polygon_P2.max(axis=0)
    return [*((low + high) / 2), *(high - low)]
