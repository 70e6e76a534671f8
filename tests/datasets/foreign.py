"""The drawn set in the forms of other tools: the same images, boxes and splits."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.datagen import Drawn

Written = Sequence[Drawn]
Names = Sequence[str]


def labelme(folder: Path, drawn: Written, names: Names) -> Path:
    """One JSON beside each image, in a folder a split."""
    for one in drawn:
        place = folder / one.split
        place.mkdir(parents=True, exist_ok=True)
        one.image.save(place / f"{one.stem}.png")
        shapes = [
            {"label": names[c], "points": [[x1, y1], [x2, y2]], "shape_type": "rectangle"}
            for c, x1, y1, x2, y2 in one.boxes
        ]
        content: dict[str, Any] = {
            "version": "5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"{one.stem}.png",
        }
        content |= {"imageHeight": one.image.height, "imageWidth": one.image.width}
        (place / f"{one.stem}.json").write_text(json.dumps(content))
    return folder


def createml(folder: Path, drawn: Written, names: Names) -> Path:
    """One list a split."""
    for split in ("train", "val"):
        rows = [
            {
                "image": f"{one.stem}.png",
                "annotations": [
                    {
                        "label": names[c],
                        "coordinates": {
                            "x": (x1 + x2) / 2,
                            "y": (y1 + y2) / 2,
                            "width": x2 - x1,
                            "height": y2 - y1,
                        },
                    }
                    for c, x1, y1, x2, y2 in one.boxes
                ],
            }
            for one in _images(folder, drawn)
            if one.split == split
        ]
        (folder / split / "_annotations.createml.json").write_text(json.dumps(rows))
    return folder


def _images(folder: Path, drawn: Written) -> Written:
    for one in drawn:
        (folder / one.split).mkdir(parents=True, exist_ok=True)
        one.image.save(folder / one.split / f"{one.stem}.png")
    return drawn


def _region(names: Names, box: tuple[int, float, float, float, float]) -> dict[str, Any]:
    c, x1, y1, x2, y2 = box
    shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    return {"shape_attributes": shape, "region_attributes": {"class": names[c]}}


def _via_rows(drawn: Written, names: Names, *, numbered: bool) -> dict[str, Any]:
    rows = {}
    for one in drawn:
        regions: Any = [_region(names, box) for box in one.boxes]
        if numbered:
            regions = {str(number): region for number, region in enumerate(regions)}
        rows[f"{one.stem}.png123"] = {"filename": f"{one.stem}.png", "size": 123, "regions": regions}
    return rows


def via_1(folder: Path, drawn: Written, names: Names) -> Path:
    """Regions numbered in a mapping, one file a split."""
    _images(folder, drawn)
    for split in ("train", "val"):
        rows = _via_rows([one for one in drawn if one.split == split], names, numbered=True)
        (folder / split / "via_region_data.json").write_text(json.dumps(rows))
    return folder


def via_2(folder: Path, drawn: Written, names: Names) -> Path:
    """Saved projects, one a split."""
    _images(folder, drawn)
    for split in ("train", "val"):
        rows = _via_rows([one for one in drawn if one.split == split], names, numbered=False)
        content = {"_via_settings": {}, "_via_img_metadata": rows, "_via_attributes": {}}
        (folder / split / "project.json").write_text(json.dumps(content))
    return folder


def ndjson(folder: Path, drawn: Written, names: Names) -> Path:
    """One file beside images/; returns the file."""
    lines: list[dict[str, Any]] = [
        {"type": "dataset", "task": "detect", "class_names": dict(enumerate(names))}
    ]
    for one in _images(folder, drawn):
        w, h = one.image.size
        boxes = [
            [c, (x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h]
            for c, x1, y1, x2, y2 in one.boxes
        ]
        lines.append(
            {"type": "image", "file": f"{one.stem}.png", "split": one.split, "annotations": {"boxes": boxes}}
        )
    path = folder / "set.ndjson"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def cvat(folder: Path, drawn: Written, names: Names) -> Path:
    """One XML with subsets."""
    labels = "".join(f"<label><name>{name}</name></label>" for name in names)
    images = ""
    for number, one in enumerate(_images(folder, drawn)):
        boxes = "".join(
            f'<box label="{names[c]}" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" occluded="0"></box>'
            for c, x1, y1, x2, y2 in one.boxes
        )
        size = f'width="{one.image.width}" height="{one.image.height}"'
        images += f'<image id="{number}" name="{one.stem}.png" subset="{one.split}" {size}>{boxes}</image>'
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    (folder / "annotations.xml").write_text(
        f"<annotations><version>1.1</version>{meta}{images}</annotations>"
    )
    return folder


def supervisely(folder: Path, drawn: Written, names: Names) -> Path:
    """meta.json, and img/ with ann/ in a data set a split."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(
        json.dumps({"classes": [{"title": name, "shape": "rectangle"} for name in names], "tags": []})
    )
    for one in drawn:
        for part in ("img", "ann"):
            (folder / one.split / part).mkdir(parents=True, exist_ok=True)
        one.image.save(folder / one.split / "img" / f"{one.stem}.png")
        objects = [
            {
                "classTitle": names[c],
                "geometryType": "rectangle",
                "points": {"exterior": [[x1, y1], [x2, y2]], "interior": []},
            }
            for c, x1, y1, x2, y2 in one.boxes
        ]
        size = {"height": one.image.height, "width": one.image.width}
        path = folder / one.split / "ann" / f"{one.stem}.png.json"
        path.write_text(json.dumps({"description": "", "size": size, "objects": objects}))
    return folder


def datumaro(folder: Path, drawn: Written, names: Names) -> Path:
    """annotations/SPLIT.json and images/SPLIT."""
    _images(folder / "images", drawn)
    (folder / "annotations").mkdir()
    labels = {"label": {"labels": [{"name": name} for name in names]}}
    for split in ("train", "val"):
        items = [
            {
                "id": one.stem,
                "annotations": [
                    {"type": "bbox", "label_id": c, "bbox": [x1, y1, x2 - x1, y2 - y1]}
                    for c, x1, y1, x2, y2 in one.boxes
                ],
                "image": {"path": f"{one.stem}.png", "size": [one.image.height, one.image.width]},
            }
            for one in drawn
            if one.split == split
        ]
        content = {"dm_format_version": "1.0", "categories": labels, "items": items}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return folder


def label_studio(folder: Path, drawn: Written, names: Names) -> Path:
    """One JSON a split of tasks, regions in percent; images named with an upload prefix."""
    _images(folder, drawn)
    for split in ("train", "val"):
        tasks = []
        for number, one in enumerate(each for each in drawn if each.split == split):
            width, height = one.image.size
            result = [
                {
                    "type": "rectanglelabels",
                    "from_name": "label",
                    "original_width": width,
                    "original_height": height,
                    "value": {
                        "x": 100 * x1 / width,
                        "y": 100 * y1 / height,
                        "width": 100 * (x2 - x1) / width,
                        "height": 100 * (y2 - y1) / height,
                        "rotation": 0,
                        "rectanglelabels": [names[c]],
                    },
                }
                for c, x1, y1, x2, y2 in one.boxes
            ]
            place = f"/data/upload/1/0badc0de-{one.stem}.png"
            tasks.append({"id": number, "data": {"image": place}, "annotations": [{"result": result}]})
        (folder / f"{split}.json").write_text(json.dumps(tasks))
    return folder


def box_tables(folder: Path, drawn: Written, names: Names) -> Path:
    """TensorFlow's table of corners, one a split, as Roboflow exports it."""
    heading = "filename,width,height,class,xmin,ymin,xmax,ymax"
    for split in ("train", "val"):
        rows = [
            f"{one.stem}.png,{one.image.width},{one.image.height},{names[c]},{x1:g},{y1:g},{x2:g},{y2:g}"
            for one in _images(folder, drawn)
            if one.split == split
            for c, x1, y1, x2, y2 in one.boxes
        ]
        (folder / split / "_annotations.csv").write_text("\n".join((heading, *rows)))
    return folder


def via_csv(folder: Path, drawn: Written, names: Names) -> Path:
    """Regions in a table, one a split."""
    _images(folder, drawn)
    heading = (
        "filename file_size file_attributes region_count region_id region_shape_attributes region_attributes"
    )
    for split in ("train", "val"):
        with (folder / split / "via_export_csv.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(heading.split())
            for one in (each for each in drawn if each.split == split):
                for number, region in enumerate(_region(names, box) for box in one.boxes):
                    values = (region["shape_attributes"], region["region_attributes"])
                    rows.writerow(
                        [f"{one.stem}.png", 123, "{}", len(one.boxes), number, *map(json.dumps, values)]
                    )
    return folder


WRITERS: tuple[Callable[[Path, Written, Names], Path], ...] = (
    labelme,
    createml,
    via_1,
    via_2,
    ndjson,
    cvat,
    supervisely,
    datumaro,
    label_studio,
    box_tables,
    via_csv,
)
