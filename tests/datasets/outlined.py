"""A drawn instance segmentation set, handed to writers of the forms it comes in: an L and a triangle a picture."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
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


def _pictures(folder: Path, made: list[Scene]) -> Path:
    for scene in made:
        (folder / scene.split).mkdir(parents=True, exist_ok=True)
        scene.image.save(folder / scene.split / f"{scene.name}.png")
    return folder


def _runs(flat: NDArray[np.uint8]) -> list[int]:
    """Run lengths, 0 first."""
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    return [0, *runs] if flat[0] else runs


def compressed(runs: list[int]) -> str:
    """COCO's text of run lengths."""
    text = ""
    for number, run in enumerate(runs):
        value = run - runs[number - 2] if number > 2 else run
        more = True
        while more:
            part = value & 0x1F
            value >>= 5
            more = value != (-1 if part & 0x10 else 0)
            text += chr((part | 0x20 if more else part) + 48)
    return text


def _coco(folder: Path, made: list[Scene], form: str) -> Path:
    _pictures(folder, made)
    for split in ("train", "val"):
        own = [scene for scene in made if scene.split == split]
        images = [
            {"id": n, "file_name": f"{scene.name}.png", "width": SIDE[0], "height": SIDE[1]}
            for n, scene in enumerate(own)
        ]
        annotations: list[dict[str, object]] = []
        for n, scene in enumerate(own):
            for (kind, points), (_, mask_HW) in zip(scene.objects, scene.masks(), strict=True):
                segmentation: object = [[value for point in points for value in point]]
                runs = _runs(mask_HW.T.reshape(-1))
                if form == "runs":
                    segmentation = {"size": list(mask_HW.shape), "counts": runs}
                elif form == "text":
                    segmentation = {"size": list(mask_HW.shape), "counts": compressed(runs)}
                category = CLASSES.index(kind) + 1
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": n,
                        "category_id": category,
                        "segmentation": segmentation,
                    }
                )
        categories = [{"id": n + 1, "name": name} for n, name in enumerate(CLASSES)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"instances_{split}.json").write_text(json.dumps(content))
    return folder


def _labelme(folder: Path, made: list[Scene], form: str) -> Path:
    _pictures(folder, made)
    for scene in made:
        shapes: list[dict[str, object]] = [
            {"label": kind, "points": points, "shape_type": "polygon"} for kind, points in scene.objects
        ]
        if form == "masks":  # as its AI tools write them, both corners within
            shapes = [_labelme_mask(kind, mask_HW) for kind, mask_HW in scene.masks()]
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{scene.name}.png"}
        (folder / scene.split / f"{scene.name}.json").write_text(json.dumps(content))
    return folder


def _labelme_mask(kind: str, mask_HW: NDArray[np.uint8]) -> dict[str, object]:
    ys, xs = np.nonzero(mask_HW)
    left, top, right, bottom = (int(value) for value in (xs.min(), ys.min(), xs.max(), ys.max()))
    packed = io.BytesIO()
    Image.fromarray(mask_HW[top : bottom + 1, left : right + 1] > 0).save(packed, "PNG")
    return {
        "label": kind,
        "points": [[left, top], [right, bottom]],
        "shape_type": "mask",
        "mask": base64.b64encode(packed.getvalue()).decode("ascii"),
    }


def _via(folder: Path, made: list[Scene], version: int) -> Path:
    _pictures(folder, made)
    for split in ("train", "val"):
        content = {}
        for scene in (scene for scene in made if scene.split == split):
            regions = [
                {
                    "shape_attributes": {
                        "name": "polygon",
                        "all_points_x": [x for x, _ in points],
                        "all_points_y": [y for _, y in points],
                    },
                    "region_attributes": {"class": kind},
                }
                for kind, points in scene.objects
            ]
            listed = {str(n): region for n, region in enumerate(regions)} if version == 1 else regions
            content[f"{scene.name}.png1"] = {"filename": f"{scene.name}.png", "size": 1, "regions": listed}
        (folder / split / f"via_region_data_{version}.json").write_text(json.dumps(content))
    return folder


def _voc(folder: Path, made: list[Scene]) -> Path:
    _pictures(folder, made)
    for scene in made:
        rows = [f"<annotation><filename>{scene.name}.png</filename>"]
        for kind, points in scene.objects:
            xs, ys = zip(*points, strict=True)
            corners = zip(("xmin", "ymin", "xmax", "ymax"), (min(xs), min(ys), max(xs), max(ys)), strict=True)
            box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
            listed = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(points, 1))
            rows.append(
                f"<object><name>{kind}</name><bndbox>{box}</bndbox><polygon>{listed}</polygon></object>"
            )
        (folder / scene.split / f"{scene.name}.xml").write_text("\n".join([*rows, "</annotation>"]))
    return folder


def _cvat(folder: Path, made: list[Scene], shape: str) -> Path:
    _pictures(folder, made)
    rows = ["<annotations><version>1.1</version>"]
    for scene in made:
        size = f'width="{SIDE[0]}" height="{SIDE[1]}"'
        rows.append(f'<image id="0" name="{scene.name}.png" subset="{scene.split}" {size}>')
        for (kind, points), (_, mask_HW) in zip(scene.objects, scene.masks(), strict=True):
            listed = ";".join(f"{x},{y}" for x, y in points)
            if shape == "polygon":
                rows.append(f'<polygon label="{kind}" occluded="0" points="{listed}"></polygon>')
                continue
            ys, xs = np.nonzero(mask_HW)
            part_HW = mask_HW[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            runs = ", ".join(map(str, _runs(part_HW.reshape(-1))))
            place = (
                f'left="{xs.min()}" top="{ys.min()}" width="{part_HW.shape[1]}" height="{part_HW.shape[0]}"'
            )
            rows.append(f'<mask label="{kind}" rle="{runs}" {place}></mask>')
        rows.append("</image>")
    (folder / "annotations.xml").write_text("\n".join([*rows, "</annotations>"]))
    return folder


def _datumaro(folder: Path, made: list[Scene]) -> Path:
    """Masks as run lengths in COCO's text."""
    _pictures(folder, made)
    (folder / "annotations").mkdir()
    categories = {"label": {"labels": [{"name": kind} for kind in CLASSES]}}
    for split in ("train", "val"):
        items = []
        for scene in (scene for scene in made if scene.split == split):
            rows = [
                {
                    "type": "mask",
                    "label_id": CLASSES.index(kind),
                    "rle": {"counts": compressed(_runs(mask_HW.T.reshape(-1))), "size": list(mask_HW.shape)},
                }
                for kind, mask_HW in scene.masks()
            ]
            picture = {"path": f"{scene.name}.png", "size": [SIDE[1], SIDE[0]]}
            items.append({"id": scene.name, "annotations": rows, "image": picture})
        content = {"dm_format_version": "1.0", "categories": categories, "items": items}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return folder


def _supervisely(folder: Path, made: list[Scene]) -> Path:
    """Bitmaps as its tool writes them: a packed PNG of two colours, the first of them transparent."""
    folder.mkdir()
    (folder / "meta.json").write_text(json.dumps({"classes": [{"title": name} for name in CLASSES]}))
    for scene in made:
        place = folder / scene.split
        for part in ("img", "ann"):
            (place / part).mkdir(parents=True, exist_ok=True)
        scene.image.save(place / "img" / f"{scene.name}.png")
        objects = []
        for kind, mask_HW in scene.masks():
            ys, xs = np.nonzero(mask_HW)
            stencil = Image.fromarray(mask_HW[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1], "P")
            stencil.putpalette([0, 0, 0, 255, 255, 255])
            png = io.BytesIO()
            stencil.save(png, "PNG", transparency=0)
            data = base64.b64encode(zlib.compress(png.getvalue())).decode("ascii")
            bitmap = {"data": data, "origin": [int(xs.min()), int(ys.min())]}
            objects.append({"classTitle": kind, "geometryType": "bitmap", "bitmap": bitmap})
        size = {"width": SIDE[0], "height": SIDE[1]}
        (place / "ann" / f"{scene.name}.png.json").write_text(json.dumps({"size": size, "objects": objects}))
    return folder


def _brush(mask_HW: NDArray[np.uint8]) -> list[int]:
    """Label Studio's packing of RGBA pixels, in runs of one value."""
    pixels = np.repeat(mask_HW.reshape(-1) * 255, 4)
    bits = f"{len(pixels):032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    edges = [0, *(np.flatnonzero(np.diff(pixels.astype(int))) + 1).tolist(), len(pixels)]
    for start, end in pairwise(edges):
        for first in range(start, end, 2**16):
            length = min(2**16, end - first)
            bits += "1" + "11" + f"{length - 1:016b}" + f"{int(pixels[start]):08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]


def _label_studio(folder: Path, made: list[Scene], form: str) -> Path:
    _pictures(folder, made)
    tasks = []
    for number, scene in enumerate(made):
        result = []
        for (kind, points), (_, mask_HW) in zip(scene.objects, scene.masks(), strict=True):
            listed = [[100 * x / SIDE[0], 100 * y / SIDE[1]] for x, y in points]
            value: dict[str, object] = {"points": listed, "polygonlabels": [kind]}
            if form == "brush":
                value = {"format": "rle", "rle": _brush(mask_HW), "brushlabels": [kind]}
            size = {"original_width": SIDE[0], "original_height": SIDE[1]}
            result.append({**size, **value} if form == "least" else {**size, "value": value})
        address = f"/data/local-files/?d=pictures/{scene.split}/{scene.name}.png"
        tasks.append({"id": number, "image": address, "label": result})
        if form != "least":
            tasks[-1] = {"id": number, "data": {"image": address}, "annotations": [{"result": result}]}
    (folder / "project-1.json").write_text(json.dumps(tasks))
    return folder


COLOURS = {"corner": (128, 0, 0), "wedge": (0, 128, 64)}


def _masks(folder: Path, made: list[Scene], form: str) -> Path:
    for scene in made:
        place = folder / scene.split
        drawn = scene.masks()
        numbers = np.zeros(drawn[0][1].shape, np.uint8)
        colours = np.zeros((*numbers.shape, 3), np.uint8)
        for kind, mask_HW in drawn:
            numbers[mask_HW > 0] = CLASSES.index(kind) + 1
            colours[mask_HW > 0] = COLOURS[kind]
        if form == "object folders":
            place = place / scene.name
        for part in ("images", "masks"):
            (place / part).mkdir(parents=True, exist_ok=True)
        scene.image.save(place / "images" / f"{scene.name}.{'png' if 'folders' in form else 'jpg'}")
        if form.startswith("numbers"):
            Image.fromarray(numbers).save(place / "masks" / f"{scene.name}.png")
        elif form == "palette":
            picture = Image.fromarray(numbers, mode="P")
            picture.putpalette([0, 0, 0, *COLOURS["corner"], *COLOURS["wedge"]])
            picture.save(place / "masks" / f"{scene.name}.png")
        elif form.startswith("colours"):
            Image.fromarray(colours).save(place / "masks" / f"{scene.name}_mask.png")
        for number, (kind, mask_HW) in enumerate(drawn):
            picture = Image.fromarray(mask_HW * 255)
            if form == "class folders":
                (place / "masks" / kind).mkdir(exist_ok=True)
                picture.save(place / "masks" / kind / f"{scene.name}.png")
            elif form == "class names":
                picture.save(place / "masks" / f"{scene.name}_{kind}.png")
            elif form == "object names":
                picture.save(place / "masks" / f"{scene.name}_{kind}_{number}.png")
            elif form == "object folders":
                picture.save(place / "masks" / f"{number * 7919:05x}.png")
    legends = {
        "numbers": ("classes.txt", "corner\nwedge\n"),
        "numbers, Roboflow": ("_classes.csv", "Pixel Value, Class\n0, background\n1, corner\n2, wedge\n"),
        "numbers, spaces": ("labels.txt", "0 background\n1 corner\n2 wedge\n"),
        "palette": (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncorner:128,0,0::\nwedge:0,128,64::\n",
        ),
        "colours, CSV": ("class_dict.csv", "name,r,g,b\ncorner,128,0,0\nwedge,0,128,64\nvoid,0,0,0\n"),
        "colours, JSON": ("legend.json", '{"corner": [128, 0, 0], "wedge": "#008040"}'),
        "colours, text": ("label_colors.txt", "128 0 0\tcorner\n0 128 64\twedge\n"),
    }
    if form in legends:
        name, text = legends[form]
        (folder / name).write_text(text)
    return folder


Writer = Callable[[Path, list[Scene]], Path]
WRITERS: dict[str, Writer] = {
    "YOLO": write_yolo_seg,
    "COCO polygons": partial(_coco, form="polygons"),
    "COCO runs": partial(_coco, form="runs"),
    "COCO text runs": partial(_coco, form="text"),
    "LabelMe": partial(_labelme, form="polygons"),
    "LabelMe masks": partial(_labelme, form="masks"),
    "VIA 1": partial(_via, version=1),
    "VIA 2": partial(_via, version=2),
    "VOC polygons": _voc,
    "CVAT polygons": partial(_cvat, shape="polygon"),
    "CVAT masks": partial(_cvat, shape="mask"),
    "Datumaro masks": _datumaro,
    "Supervisely bitmaps": _supervisely,
    "Label Studio polygons": partial(_label_studio, form="polygon"),
    "Label Studio brush": partial(_label_studio, form="brush"),
    "Label Studio MIN": partial(_label_studio, form="least"),
    **{
        f"masks: {form}": partial(_masks, form=form)
        for form in (
            "numbers",
            "numbers, Roboflow",
            "numbers, spaces",
            "palette",
            "colours, CSV",
            "colours, JSON",
            "colours, text",
            "class folders",
            "class names",
            "object names",
            "object folders",
        )
    },
}
