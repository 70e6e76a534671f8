"""Our clean export as ultralytics' data set of whole images: its own label scan keeps a pickle beside the images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from ultralytics.data import ClassificationDataset
from ultralytics.data.augment import classify_augmentations, classify_transforms

from recommender.datasets.export import class_of_folder
from tune_jobs.training.dataset import chosen_images

MAX_MEMORY_SHARE = 0.25  # of what is free, for decoded images; more of them are decoded again each epoch


class CleanPhotos(ClassificationDataset):  # type: ignore[misc]
    """Images and the class of each, augmented as ultralytics does.

    The class is the number that our exporter put before the name of its folder: never the folder's alphabetical place,
    which two splits may count differently.
    """

    def __init__(
        self, folder: Path, args: Any, *, augment: bool, fraction: float = 1.0, seed: int = 0
    ) -> None:
        paths = chosen_images(folder, fraction=fraction, seed=seed)
        self.samples = [[path, class_of_folder(Path(path).parent.name), None, None] for path in paths]
        self.root, self.prefix = str(folder), ""
        self.cache_disk = False
        self.cache_ram = _fits_memory(paths)
        if self.cache_ram:
            with contextlib.redirect_stdout(io.StringIO()):  # its progress bar knows no switch
                self.cache_images()
        self.torch_transforms = _augmented(args) if augment else classify_transforms(size=args.imgsz)


def _augmented(args: Any) -> Any:
    """The random transforms that ultralytics' own data set makes of these arguments."""
    return classify_augmentations(
        size=args.imgsz,
        scale=(1.0 - args.scale, 1.0),  # of the image's area
        hflip=args.fliplr,
        vflip=args.flipud,
        erasing=args.erasing,
        auto_augment=args.auto_augment,
        hsv_h=args.hsv_h,
        hsv_s=args.hsv_s,
        hsv_v=args.hsv_v,
    )


def _fits_memory(paths: Sequence[str]) -> bool:
    num_bytes = 0
    for path in paths:
        with Image.open(path) as header:
            num_bytes += 3 * header.width * header.height
    return bool(num_bytes < MAX_MEMORY_SHARE * psutil.virtual_memory().available)
