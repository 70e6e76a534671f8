"""Small data sets drawn on the spot, in every format that is read. The same content whatever the format.

`make_dataset(folder, format=…)` returns the path to open. Shapes stand for classes: their outline has as
many corners as the class's number plus three, so that a detector can learn them.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element, ElementTree, SubElement

import numpy as np
from PIL import Image, ImageDraw

from recommender.records import Split

Format = Literal[
    "yolo",  # data.yaml, images/train, labels/train
    "yolo_split_first",  # data.yaml, train/images, train/labels
    "yolo_layout",  # the same without data.yaml, with classes.txt
    "yolo_flat",  # images and labels side by side, no splits
    "roboflow_yolo",  # ../train/images, valid for val
    "coco",  # annotations/instances_train.json, train/
    "coco_file",  # one JSON, images beside it, no splits
    "roboflow_coco",  # train/_annotations.coco.json, supercategory of id 0
    "voc",  # Annotations, JPEGImages, ImageSets/Main
    "roboflow_voc",  # train/*.jpg with train/*.xml
]
FORMATS: tuple[Format, ...] = (
    "yolo",
    "yolo_split_first",
    "yolo_layout",
    "yolo_flat",
    "roboflow_yolo",
    "coco",
    "coco_file",
    "roboflow_coco",
    "voc",
    "roboflow_voc",
)
SPLITLESS: frozenset[Format] = frozenset({"yolo_flat", "coco_file"})


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One picture with its boxes in pixels: class, x min, y min, x max, y max."""

    stem: str
    split: Split
    image: Image.Image
    boxes: tuple[tuple[int, float, float, float, float], ...]


def draw_images(
    count: int,
    classes: Sequence[str],
    *,
    size: tuple[int, int] = (96, 80),
    boxes: int = 2,
    val_share: float = 0.25,
    seed: int = 0,
) -> list[Drawn]:
    """Draw `count` pictures with `boxes` shapes each; the last share of them is val."""
    rng = np.random.default_rng(seed)
    num_val = max(1, round(val_share * count)) if count > 1 else 0
    drawn = []
    for number in range(count):
        low_res = rng.integers(60, 200, (6, 8, 3), dtype=np.uint8)
        image = Image.fromarray(low_res).resize(size, Image.Resampling.BILINEAR)
        pen = ImageDraw.Draw(image)
        found = []
        for index in range(boxes):
            kind = (number * boxes + index) % len(classes)
            radius = int(rng.integers(min(size) // 8, min(size) // 5))
            x = int(rng.integers(radius + 1, size[0] - radius - 1))
            y = int(rng.integers(radius + 1, size[1] - radius - 1))
            colour = tuple(int(c) for c in rng.integers(0, 255, 3))
            pen.regular_polygon((x, y, radius), 3 + kind % 6, fill=colour, outline=(255, 255, 255))
            found.append((kind, float(x - radius), float(y - radius), float(x + radius), float(y + radius)))
        split: Split = "val" if number >= count - num_val else "train"
        drawn.append(Drawn(stem=f"shape_{number:04d}", split=split, image=image, boxes=tuple(found)))
    return drawn


def make_dataset(
    folder: Path,
    *,
    images: int = 12,
    format: Format = "yolo",
    classes: Sequence[str] = ("circle", "square"),
    size: tuple[int, int] = (96, 80),
    boxes: int = 2,
    val_share: float = 0.25,
    seed: int = 0,
    suffix: str = ".png",
) -> Path:
    """Write a data set below `folder` (created) and return the path that opens it."""
    drawn = draw_images(images, classes, size=size, boxes=boxes, val_share=val_share, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    writer = {"coco": _write_coco, "voc": _write_voc, "yolo": _write_yolo}
    family = next(name for name in writer if name in format)
    return writer[family](folder, drawn, list(classes), format, suffix)


def zip_of(folder: Path, archive: Path, *, prefix: str = "") -> Path:
    """Pack a folder into a zip, its files below `prefix`."""
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, prefix + path.relative_to(folder).as_posix())
    return archive


def tar_of(folder: Path, archive: Path, *, prefix: str = "") -> Path:
    """Pack a folder into a tar.gz, its files below `prefix`."""
    with tarfile.open(archive, "w:gz") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.add(path, prefix + path.relative_to(folder).as_posix())
    return archive


def yolo_rows(item: Drawn) -> str:
    """The label file of one picture."""
    width, height = item.image.size
    rows = [
        f"{kind} {(x1 + x2) / 2 / width:.7f} {(y1 + y2) / 2 / height:.7f} "
        f"{(x2 - x1) / width:.7f} {(y2 - y1) / height:.7f}\n"
        for kind, x1, y1, x2, y2 in item.boxes
    ]
    return "".join(rows)


def _save(item: Drawn, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    item.image.save(path, quality=92)


def _write_yolo(folder: Path, drawn: list[Drawn], classes: list[str], form: Format, suffix: str) -> Path:
    words = {"train": "train", "val": "valid" if form == "roboflow_yolo" else "val", "test": "test"}
    for item in drawn:
        word = words[item.split]
        images, labels = {
            "yolo": (f"images/{word}", f"labels/{word}"),
            "yolo_layout": (f"images/{word}", f"labels/{word}"),
            "yolo_flat": ("", ""),
        }.get(form, (f"{word}/images", f"{word}/labels"))
        _save(item, folder / images / (item.stem + suffix))
        label = folder / labels / f"{item.stem}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(yolo_rows(item), encoding="utf-8")
    if form in ("yolo_layout", "yolo_flat"):
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
        return folder
    places = {
        "yolo": ("images/train", "images/val"),
        "yolo_split_first": ("train/images", "val/images"),
        "roboflow_yolo": ("../train/images", "../valid/images"),
    }[form]
    names = json.dumps(classes, ensure_ascii=False)
    text = f"train: {places[0]}\nval: {places[1]}\n\nnc: {len(classes)}\nnames: {names}\n"
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return folder


def coco_document(drawn: Sequence[Drawn], classes: Sequence[str], *, suffix: str) -> dict[str, object]:
    """COCO's JSON of these pictures."""
    annotations = [
        {
            "image_id": number,
            "category_id": kind + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
        }
        for number, item in enumerate(drawn)
        for kind, x1, y1, x2, y2 in item.boxes
    ]
    return {
        "images": [
            {
                "id": number,
                "file_name": item.stem + suffix,
                "width": item.image.width,
                "height": item.image.height,
            }
            for number, item in enumerate(drawn)
        ],
        "annotations": [{"id": number, **row} for number, row in enumerate(annotations, 1)],
        "categories": [
            {"id": 1 + index, "name": name, "supercategory": "shapes"} for index, name in enumerate(classes)
        ],
    }


def _write_coco(folder: Path, drawn: list[Drawn], classes: list[str], form: Format, suffix: str) -> Path:
    if form == "coco_file":
        for item in drawn:
            _save(item, folder / "images" / (item.stem + suffix))
        path = folder / "annotations.json"
        path.write_text(json.dumps(coco_document(drawn, classes, suffix=suffix)), encoding="utf-8")
        return path
    for split in ("train", "val"):
        part = [item for item in drawn if item.split == split]
        word = "valid" if form == "roboflow_coco" and split == "val" else split
        for item in part:
            _save(item, folder / word / (item.stem + suffix))
        document = coco_document(part, classes, suffix=suffix)
        path = folder / "annotations" / f"instances_{split}.json"
        if form == "roboflow_coco":
            path = folder / word / "_annotations.coco.json"
            categories = [{"id": 0, "name": "shapes", "supercategory": "none"}]
            document["categories"] = categories + list(document["categories"])  # type: ignore[call-overload]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
    return folder


def voc_xml(item: Drawn, classes: Sequence[str], suffix: str) -> ElementTree[Element]:
    """Pascal VOC's XML of one picture."""
    root = Element("annotation")
    SubElement(root, "filename").text = item.stem + suffix
    size = SubElement(root, "size")
    for tag, value in (("width", item.image.width), ("height", item.image.height), ("depth", 3)):
        SubElement(size, tag).text = str(value)
    for kind, *corners in item.boxes:
        thing = SubElement(root, "object")
        SubElement(thing, "name").text = classes[kind]
        SubElement(thing, "difficult").text = "0"
        box = SubElement(thing, "bndbox")
        for side, place in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            SubElement(box, side).text = f"{place:.3f}"
    return ElementTree(root)


def _write_voc(folder: Path, drawn: list[Drawn], classes: list[str], form: Format, suffix: str) -> Path:
    for item in drawn:
        word = "valid" if item.split == "val" else item.split
        images, labels = (word, word) if form == "roboflow_voc" else ("JPEGImages", "Annotations")
        _save(item, folder / images / (item.stem + suffix))
        (folder / labels).mkdir(parents=True, exist_ok=True)
        voc_xml(item, classes, suffix).write(folder / labels / f"{item.stem}.xml")
    if form == "voc":
        lists = folder / "ImageSets" / "Main"
        lists.mkdir(parents=True)
        for split in ("train", "val"):
            stems = [item.stem for item in drawn if item.split == split]
            (lists / f"{split}.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
    return folder
