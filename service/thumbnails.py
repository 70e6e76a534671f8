"""Small pictures of the data sets that the service holds, drawn once per content."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path, PurePosixPath

from recommender.home import subfolder
from recommender.records import Dataset, LabelledImage

SIDE = 160  # pixels, longer side
MOST = 400  # pictures per data set
SHEET = "names.json"  # written last: its presence means complete


def folder_of(dataset_hash: str) -> Path:
    """Where the pictures of a content lie."""
    return subfolder("thumbnails") / hashlib.sha256(dataset_hash.encode()).hexdigest()[:32]


def draw_thumbnails(dataset: Dataset, folder: Path) -> None:
    """Draw up to `MOST` images, the same ones every time; images that cannot be read are left out."""
    if (folder / SHEET).exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".drawing-", dir=folder.parent))
    try:
        names: dict[str, int] = {}
        for image in _chosen(dataset):
            number = len(names)
            if _draw(image, aside / f"{number}.jpg"):
                names[image.name] = number
        (aside / SHEET).write_text(json.dumps(names))
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class Pictures:
    """Which images of a content have a picture. Asked by name: the same content may lie in other folders."""

    def __init__(self, dataset_hash: str) -> None:
        try:
            self._numbers: dict[str, int] = json.loads((folder_of(dataset_hash) / SHEET).read_text())
        except (OSError, ValueError):
            self._numbers = {}
        last = Counter(PurePosixPath(name).name for name in self._numbers)
        self._by_last = {
            PurePosixPath(name).name: number
            for name, number in self._numbers.items()
            if last[PurePosixPath(name).name] == 1
        }

    def number_of(self, name: str) -> int | None:
        """The picture's number, None where there is none."""
        return self._numbers.get(name, self._by_last.get(PurePosixPath(name).name))


def _chosen(dataset: Dataset) -> list[LabelledImage]:
    """Images with boxes first, then by content, so that no folder order decides."""
    return sorted(dataset.images, key=lambda image: (len(image.classes_M) == 0, image.sha256))[:MOST]


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
