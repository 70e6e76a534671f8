"""Thumbnails of the images of registered data sets, made once per content hash."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path, PurePosixPath

from recommender.atomic_files import filling
from recommender.home import subfolder
from recommender.records import Dataset, LabelledImage

SIDE = 160  # pixels, longer side
MAX_THUMBNAILS = 400  # pictures per data set
INDEX_FILE = "names.json"  # written last: its presence means complete


def thumbnail_folder(dataset_hash: str) -> Path:
    """The folder of a data set's thumbnails."""
    return subfolder("thumbnails") / hashlib.sha256(dataset_hash.encode()).hexdigest()[:32]


def write_thumbnails(dataset: Dataset, folder: Path) -> None:
    """Write up to MAX_THUMBNAILS JPEGs, always of the same images; unreadable images are left out."""
    if (folder / INDEX_FILE).exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filling(folder, prefix=".drawing-", is_whole=(folder / INDEX_FILE).exists) as part:
        names: dict[str, int] = {}
        for image in _chosen(dataset):
            number = len(names)
            if _draw(image, part / f"{number}.jpg"):
                names[image.name] = number
        (part / INDEX_FILE).write_text(json.dumps(names))
        shutil.rmtree(folder, ignore_errors=True)


class ThumbnailIndex:
    """Thumbnail numbers by image name; by the last part of the name where the folders differ."""

    def __init__(self, dataset_hash: str) -> None:
        try:
            self._numbers: dict[str, int] = json.loads(
                (thumbnail_folder(dataset_hash) / INDEX_FILE).read_text()
            )
        except (OSError, ValueError):
            self._numbers = {}
        last = Counter(PurePosixPath(name).name for name in self._numbers)
        self._by_last = {
            PurePosixPath(name).name: number
            for name, number in self._numbers.items()
            if last[PurePosixPath(name).name] == 1
        }

    def number_of(self, name: str) -> int | None:
        """The number of an image's thumbnail; None where it has none."""
        return self._numbers.get(name, self._by_last.get(PurePosixPath(name).name))


def _chosen(dataset: Dataset) -> list[LabelledImage]:
    """The images to draw: those with boxes first, then in the order of their content hashes."""
    return sorted(dataset.images, key=lambda image: (len(image.classes_M) == 0, image.sha256))[
        :MAX_THUMBNAILS
    ]


def _draw(image: LabelledImage, path: Path) -> bool:
    from PIL import Image

    from recommender.datasets import ImageError, read_image

    try:
        pixels_HW3 = read_image(image.path, max_side=2 * SIDE)
    except (ImageError, OSError):
        return False
    picture = Image.fromarray(pixels_HW3)
    picture.thumbnail((SIDE, SIDE))
    picture.save(path, "JPEG", quality=72)
    return True
