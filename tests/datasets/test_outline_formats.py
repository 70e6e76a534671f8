"""One drawn set in every form that outlines come in: the same objects, whatever the form."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset, supervisely
from recommender.datasets.images import decode_stencil
from recommender.datasets.outlines import draw_mask
from recommender.errors import DatasetError
from recommender.records import Dataset
from tests.datasets.helpers import kinds, tree_digest
from tests.datasets.outlined import CLASSES, SIDE, WRITERS, Scene, scenes


def worst_overlap(found: Dataset, made: list[Scene]) -> float:
    """Of the drawn objects and those found of the same class, the least intersection over union."""
    scene_of = {scene.name: scene for scene in made}
    least = 1.0
    for image in found.images:
        assert image.polygons is not None
        scene = scene_of[image.path.stem]
        assert image.split == scene.split
        assert len(image.polygons) == len(scene.objects)
        for number, rings in zip(image.classes_M.tolist(), image.polygons, strict=True):
            drawn_HW = draw_mask(rings, *SIDE)
            name = found.class_names[number]
            wanted = [mask_HW > 0 for kind, mask_HW in scene.masks() if name in (kind, "object")]
            least = min(
                least, max(float((drawn_HW & mask).sum() / (drawn_HW | mask).sum()) for mask in wanted)
            )
    return least


@pytest.mark.slow
@pytest.mark.parametrize("form", WRITERS)
def test_every_form_gives_the_objects_as_drawn(tmp_path: Path, form: str) -> None:
    made = scenes()
    folder = WRITERS[form](tmp_path / "set", made)
    before = tree_digest(folder)
    found = open_dataset(folder, task="segment")
    names = ("object",) if form == "masks: object folders" else CLASSES
    assert (found.task, found.class_names, len(found.images)) == ("segment", names, len(made))
    assert worst_overlap(found, made) > 0.95
    assert not [d.kind for d in found.defects if d.severity == "error"]
    boxes = open_dataset(folder, task="detect")
    for image, other in zip(found.images, boxes.images, strict=True):
        np.testing.assert_allclose(image.boxes_M4, other.boxes_M4, atol=0.6 / min(SIDE))
    assert tree_digest(folder) == before


def masks_of_numbers(folder: Path, *, classes: bool) -> Path:
    """Two or three objects a picture, numbered anew in each mask, or by two classes."""
    for number, scene in enumerate(scenes(6)):
        for part in ("PNGImages", "PedMasks"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        scene.image.save(folder / "PNGImages" / f"{scene.name}.png")
        mask_HW = np.zeros((SIDE[1], SIDE[0]), np.uint8)
        for value, (_, own_HW) in enumerate(scene.masks(), 1):
            mask_HW[own_HW > 0] = value + 3 * classes
        if number % 2:
            mask_HW[60:70, 80:90] = 3 + classes
        Image.fromarray(mask_HW).save(folder / "PedMasks" / f"{scene.name}_mask.png")
    return folder


def test_numbers_that_start_anew_in_each_mask_are_objects(tmp_path: Path) -> None:
    found = open_dataset(masks_of_numbers(tmp_path / "set", classes=False), task="segment")
    assert found.class_names == ("object",)
    assert sorted(len(image.classes_M) for image in found.images) == [2, 2, 2, 3, 3, 3]


def test_numbers_and_colours_without_a_legend_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no file says what they mean.*classes\.txt"):
        open_dataset(masks_of_numbers(tmp_path / "set", classes=True))


def test_class_and_object_masks_side_by_side(tmp_path: Path) -> None:
    """CVAT's segmentation masks: SegmentationClass tells the class of what SegmentationObject numbers."""
    made = scenes(6)
    for part in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        (tmp_path / part).mkdir()
    for scene in made:
        scene.image.save(tmp_path / "JPEGImages" / f"{scene.name}.jpg")
        kinds_HW3, objects_HW3 = (np.zeros((SIDE[1], SIDE[0], 3), np.uint8) for _ in range(2))
        for number, (kind, mask_HW) in enumerate(scene.masks()):
            kinds_HW3[mask_HW > 0] = (200, 0, 0) if kind == "corner" else (0, 0, 200)
            objects_HW3[mask_HW > 0] = (number + 1, 99, 0)
        Image.fromarray(kinds_HW3).save(tmp_path / "SegmentationClass" / f"{scene.name}.png")
        Image.fromarray(objects_HW3).save(tmp_path / "SegmentationObject" / f"{scene.name}.png")
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ncorner:200,0,0::\nwedge:0,0,200::\n")
    found = open_dataset(tmp_path, task="segment")
    assert found.class_names == CLASSES
    assert all(sorted(image.classes_M.tolist()) == [0, 1] for image in found.images)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pieces_of_one_class_are_told_and_photos_are_no_masks(tmp_path: Path, suffix: str) -> None:
    for scene in scenes(6):
        for part in ("images", "masks"):
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / part).mkdir(parents=True, exist_ok=True)
            scene.image.save(tmp_path / "photos" / part / f"{scene.name}.png")
        scene.image.save(tmp_path / "set" / "images" / f"{scene.name}.png")
        both_HW = np.maximum.reduce([mask_HW for _, mask_HW in scene.masks()])
        Image.fromarray(both_HW * 255).save(tmp_path / "set" / "masks" / f"{scene.name}{suffix}")
    found = open_dataset(tmp_path / "set", task="segment")
    softened = {"mask_soft": 6} if suffix == ".jpg" else {}
    assert kinds(found) == {"mask_pieces": 6, "names_missing": 1, **softened}
    assert all(len(image.classes_M) == 2 for image in found.images)
    with pytest.raises(DatasetError, match="no labels that are read"):
        open_dataset(tmp_path / "photos", task="segment")


def test_labelme_masks_may_be_one_pixel_wide(tmp_path: Path) -> None:
    made = scenes(4)
    folder = WRITERS["LabelMe masks"](tmp_path / "set", made)
    line = io.BytesIO()
    Image.fromarray(np.ones((20, 1), bool)).save(line, "PNG")
    shape = {"label": "line", "points": [[44.0, 10.0], [44.0, 29.0]], "shape_type": "mask"}
    shape["mask"] = base64.b64encode(line.getvalue()).decode("ascii")
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        content["shapes"].append(shape)
        path.write_text(json.dumps(content))
    found = open_dataset(folder, task="segment")
    assert kinds(found) == {}
    for image in found.images:
        assert image.polygons is not None
        (rings,) = (
            p for p, n in zip(image.polygons, image.classes_M, strict=True) if found.class_names[n] == "line"
        )
        assert np.argwhere(draw_mask(rings, *SIDE)).tolist() == [[y, 44] for y in range(10, 30)]


def test_labelme_shapes_of_one_group_are_parts_of_one_object(tmp_path: Path) -> None:
    folder = WRITERS["LabelMe"](tmp_path / "set", scenes(4))
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        for shape in content["shapes"]:
            shape |= {"label": "thing", "group_id": 7}
        content["shapes"].append({**content["shapes"][0], "group_id": None})
        path.write_text(json.dumps(content))
    for image in open_dataset(folder, task="segment").images:
        assert image.polygons is not None
        assert sorted(len(rings) for rings in image.polygons) == [1, 2]


@pytest.mark.slow
def test_bitmaps_that_cannot_be_read_are_counted_and_their_sets_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[int] = []

    def watched(data: bytes, *, max_pixels: int) -> Any:
        unpacked.append(len(data))
        return decode_stencil(data, max_pixels=max_pixels)

    monkeypatch.setattr(supervisely, "decode_stencil", watched)
    folder = WRITERS["Supervisely bitmaps"](tmp_path / "set", scenes(24))
    first, second, third = sorted(folder.rglob("*.png.json"))[:3]
    bomb = base64.b64encode(zlib.compress(bytes(200 * 2**20), 9)).decode("ascii")  # no PNG, and much of it
    for path, data in ((first, "?"), (second, base64.b64encode(b"no zlib").decode("ascii")), (third, bomb)):
        content = json.loads(path.read_text())
        content["objects"][0]["bitmap"]["data"] = data
        path.write_text(json.dumps(content))
    assert kinds(open_dataset(folder, task="segment"))["label_no_box"] == 3
    assert max(unpacked) == supervisely.MAX_PNG_BYTES


def test_no_bitmap_is_larger_than_its_picture(tmp_path: Path) -> None:
    folder = WRITERS["Supervisely bitmaps"](tmp_path / "set", scenes(24))
    path = min(folder.rglob("*.png.json"))
    content = json.loads(path.read_text())
    width, height = content["size"]["width"], content["size"]["height"]
    file = io.BytesIO()
    Image.new("L", (width + 1, height), 255).save(file, "PNG")
    bitmap = base64.b64encode(zlib.compress(file.getvalue())).decode("ascii")
    content["objects"][0]["bitmap"] |= {"data": bitmap, "origin": [0, 0]}
    path.write_text(json.dumps(content))
    assert kinds(open_dataset(folder, task="segment"))["label_no_box"] == 1
