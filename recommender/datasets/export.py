"""A clean copy for ultralytics: our own data.yaml, our own labels, images any reader decodes alike.

Nothing of the user's but image bytes gets into it: no label file, cache, YAML or file name.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from recommender.atomic_files import filling
from recommender.datasets.images import ImageError, decode_image, read_bytes, read_header
from recommender.datasets.outlines import joined
from recommender.errors import ConflictError, DatasetError, StorageError
from recommender.records import ByteArray, Dataset, LabelledImage, Split
from recommender.tasks import task_definition
from recommender.text import printable

MANIFEST = "manifest.json"
JPEG_QUALITY = 95
CHUNK = 256
PIXELS_AT_ONCE = 128_000_000  # decoded by all threads


def export_yolo(dataset: Dataset, folder: Path, *, splits: Sequence[Split] = ("train", "val")) -> Path:
    """Write images and labels below `folder` in the form that ultralytics trains from; returns its `data` argument.

    Boxes and outlines: images/, labels/ and the data.yaml returned; an outline of several rings is one line, joined
    by bridges. Classification: a tree SPLIT/CLASS/ below the folder returned, its class folders numbered and
    spelt safely (`class_folder`), so that ultralytics' order of them is that of `dataset.class_names`.

    The folder appears at once and whole: it is written aside and renamed, its manifest last. An
    export of the same content already there is returned as it is, so processes may race for it. Images
    that turn out not to decode are left out and named in the manifest.

    Raises ConflictError when `folder` holds anything else, DatasetError when an image changed since the
    data set was opened, StorageError when the disk refuses.
    """
    folder = folder.absolute()
    images = [image for split in splits for image in dataset.of_split(split)]
    wanted = {
        "version": 1,
        "dataset": dataset.content_hash,
        "splits": {split: sum(image.split == split for image in images) for split in splits},
        "content": sha256("".join(f"{image.split}{image.sha256}" for image in images).encode()).hexdigest(),
    }
    entry = folder if task_definition(dataset.task).whole_images else folder / "data.yaml"
    if _is_complete(folder, wanted):
        return entry
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{folder.name[:40]}-"
        with filling(folder, prefix=prefix, is_whole=lambda: _is_complete(folder, wanted)) as part:
            left_out = _write(dataset, images, part, folder, splits)
            manifest = {"wanted": wanted, "left_out": left_out}
            (part / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            part.chmod(0o755)  # a new temporary folder is private
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            f"The export to {printable(folder)} failed: {error.strerror}.",
            remedy="Free some space there." if full else "Name a folder that can be made.",
        ) from error
    return entry


def class_folder(index: int, name: str) -> str:
    """The folder of a class in an export: its number, and its name as far as it is safe in a path."""
    return f"{index:05d}_{_slug(name)}"


def class_of_folder(folder: str) -> int:
    """The number of the class whose folder `class_folder` named."""
    return int(folder.split("_", 1)[0])


def write_data_yaml(
    folder: Path, class_names: Sequence[str], splits: Sequence[Split], *, at: Path | None = None
) -> Path:
    """Write the data.yaml of an export that lies, or will lie, at `at` (default: `folder`).

    Absolute paths, since ultralytics resolves relative ones against its own settings: call it again
    after a move. Class names are escaped to printable text; train and val are always named.
    """
    at = (at or folder).absolute()
    used = {split: split for split in splits} | {
        "train": splits[0],
        "val": "val" if "val" in splits else splits[0],
    }
    lines = [f"path: {_quoted(str(at))}"]
    lines += [f"{key}: {_quoted(str(at / 'images' / split))}" for key, split in used.items()]
    lines += ["names:"] + [f"  {index}: {_quoted(printable(name))}" for index, name in enumerate(class_names)]
    path = folder / "data.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _quoted(text: str) -> str:
    # YAML's single quotes know one escape only; `text` has no control characters by now.
    return "'" + text.replace("'", "''") + "'"


def _is_complete(folder: Path, wanted: dict[str, object]) -> bool:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        if folder.is_dir() and any(folder.iterdir()):
            raise ConflictError(
                f"{printable(folder)} is not empty and no finished export.", remedy="Choose another folder."
            ) from None
        return False
    if not isinstance(found, dict) or found.get("wanted") != wanted:
        raise ConflictError(f"{printable(folder)} holds another export.", remedy="Choose another folder.")
    return True


def _write(
    dataset: Dataset, images: list[LabelledImage], aside: Path, final: Path, splits: Sequence[Split]
) -> list[str]:
    """Write everything but the manifest; returns the names of images that do not decode."""
    whole_images = task_definition(dataset.task).whole_images
    tree = [class_folder(index, name) for index, name in enumerate(dataset.class_names)]
    for split in splits:
        subfolders = [f"images/{split}", f"labels/{split}"]
        if whole_images:
            subfolders = [
                f"{split}/{name}" for name in tree
            ]  # the empty ones too, or the numbers would shift
        for name in subfolders:
            (aside / name).mkdir(parents=True)

    def write(number: int, image: LabelledImage) -> str | None:
        try:
            data, suffix = _image_file(image)
        except ImageError:
            return image.name
        stem = f"{number:06d}_{_slug(image.path.stem)}"
        if whole_images:
            place = aside / image.split / tree[int(image.classes_M[0])]
            (place / (stem + suffix)).write_bytes(data)
            return None
        (aside / "images" / image.split / (stem + suffix)).write_bytes(data)
        (aside / "labels" / image.split / f"{stem}.txt").write_text(_rows(image), encoding="ascii")
        return None

    left_out: list[str] = []
    largest = max((image.width * image.height for image in images), default=1)
    num_threads = max(1, min(8, 1 + (os.cpu_count() or 1), PIXELS_AT_ONCE // largest))
    with ThreadPoolExecutor(max_workers=num_threads) as threads:
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            results = threads.map(write, range(start, start + len(chunk)), chunk)
            left_out += [name for name in results if name is not None]
    if len(left_out) == len(images):
        raise DatasetError("None of the images decodes.", remedy="Look with `recommend datasets inspect`.")
    if not whole_images:
        write_data_yaml(aside, dataset.class_names, splits, at=final)
    return left_out


def _rows(image: LabelledImage) -> str:
    """The label file of an image: boxes, or outlines where it has them."""
    shapes = [box.tolist() for box in image.boxes_M4]
    if image.polygons is not None:
        shapes = [joined(rings).clip(0, 1).reshape(-1).tolist() for rings in image.polygons]
    rows = zip(image.classes_M.tolist(), shapes, strict=True)
    return "".join(f"{index} {' '.join(f'{value:.6f}' for value in shape)}\n" for index, shape in rows)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:40].strip("-") or "image"


def _image_file(image: LabelledImage) -> tuple[bytes, str]:
    """The bytes to write and their suffix: the user's own where every reader agrees on them."""
    try:
        data = read_bytes(image.path)
        header = read_header(image.path, data)
    except ImageError:
        header = None
    if header is None or header.sha256 != image.sha256:
        raise DatasetError(
            f"{printable(image.name)} changed after the data set was opened.",
            remedy="Open the data set again.",
        )
    pixels_HW3 = decode_image(image.path, data)  # a whole header is no whole image
    if header.plain:
        return data, ".jpg" if header.format == "JPEG" else ".png"
    return _encoded(image, pixels_HW3, lossless=header.format not in ("JPEG", "MPO"))


def _encoded(image: LabelledImage, pixels_HW3: ByteArray, *, lossless: bool) -> tuple[bytes, str]:
    import cv2

    suffix, options = (".png", []) if lossless else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    done, encoded = cv2.imencode(suffix, cv2.cvtColor(pixels_HW3, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise StorageError(f"{printable(image.name)} could not be encoded again.")
    return encoded.tobytes(), suffix
