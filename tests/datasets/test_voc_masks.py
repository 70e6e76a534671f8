"""Pascal VOC's trees with boxes and masks: `--task` decides, each reads its own lists, and boxes name the masks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recommender.datasets import open_dataset
from recommender.errors import DatasetError
from tests.datasets.helpers import kinds
from tests.datasets.outlined import SIDE, Scene, scenes

VOC_NUMBERS = {"corner": ("person", 15), "wedge": ("car", 7)}
OWN_NUMBERS = {"corner": ("hook", 1), "wedge": ("ramp", 2)}
VOID = 255


def write_voc(folder: Path, numbers: dict[str, tuple[str, int]], *, objects: bool = True) -> Path:
    """Twelve annotated images laid out as VOC2012; nine have masks, of which one is in no list."""
    made = scenes(12)
    for part in ("Annotations", "JPEGImages", "SegmentationClass", "SegmentationObject"):
        (folder / part).mkdir(parents=True)
    for scene in made:
        scene.image.save(folder / "JPEGImages" / f"{scene.name}.jpg")
        _write_boxes(folder / "Annotations" / f"{scene.name}.xml", scene, numbers)
    for scene in made[:9]:
        _write_masks(folder, scene, numbers, objects=objects)
    lists = {
        "Main": {"train": made[:9], "val": made[9:]},
        "Segmentation": {"train": made[:6], "val": made[6:8]},
    }
    for part, splits in lists.items():
        (folder / "ImageSets" / part).mkdir(parents=True)
        for split, own in splits.items():
            (folder / "ImageSets" / part / f"{split}.txt").write_text("".join(f"{s.name}\n" for s in own))
    return folder


def _write_boxes(path: Path, scene: Scene, numbers: dict[str, tuple[str, int]]) -> None:
    rows = [f"<annotation><filename>{scene.name}.jpg</filename>"]
    for kind, points in scene.objects:
        xs, ys = zip(*points, strict=True)
        corners = zip(("xmin", "ymin", "xmax", "ymax"), (min(xs), min(ys), max(xs), max(ys)), strict=True)
        box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
        rows.append(f"<object><name>{numbers[kind][0]}</name><bndbox>{box}</bndbox></object>")
    path.write_text("\n".join([*rows, "</annotation>"]))


def _write_masks(folder: Path, scene: Scene, numbers: dict[str, tuple[str, int]], *, objects: bool) -> None:
    kinds_HW, objects_HW = (np.zeros((SIDE[1], SIDE[0]), np.uint8) for _ in range(2))
    for number, (kind, mask_HW) in enumerate(scene.masks(), 1):
        kinds_HW[mask_HW > 0] = numbers[kind][1]
        objects_HW[mask_HW > 0] = number
    for part, values_HW in (("SegmentationClass", kinds_HW), ("SegmentationObject", objects_HW)):
        values_HW[-2:] = VOID
        picture = Image.fromarray(values_HW, "P")
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        if objects or part == "SegmentationClass":
            picture.save(folder / part / f"{scene.name}.png")


def test_boxes_are_read_with_their_lists_and_the_masks_are_named(tmp_path: Path) -> None:
    found = open_dataset(write_voc(tmp_path / "set", VOC_NUMBERS))
    assert (found.task, len(found.of_split("train")), len(found.of_split("val"))) == ("detect", 9, 3)
    assert kinds(found) == {"task_detect": 1}


@pytest.mark.parametrize("numbers", [VOC_NUMBERS, OWN_NUMBERS])
@pytest.mark.parametrize("objects", [True, False])
def test_masks_are_read_with_theirs_and_boxes_name_them(
    tmp_path: Path, numbers: dict[str, tuple[str, int]], objects: bool
) -> None:
    found = open_dataset(write_voc(tmp_path / "set", numbers, objects=objects), task="segment")
    assert found.class_names == tuple(sorted(name for name, _ in numbers.values()))
    assert (len(found.of_split("train")), len(found.of_split("val"))) == (6, 2)
    assert all(sorted(image.classes_M.tolist()) == [0, 1] for image in found.images)
    assert {kind: count for kind, count in kinds(found).items() if kind != "mask_pieces"} == {
        "image_unlisted": 1,
        "names_by_boxes": 2,
    }


def test_numbers_that_boxes_do_not_name_are_refused_and_not_guessed(tmp_path: Path) -> None:
    """Pascal VOC's own numbers hold only where the boxes agree with them."""
    folder = write_voc(tmp_path / "set", {"corner": ("car", 15), "wedge": ("car", 7)})
    with pytest.raises(DatasetError, match=r"no file says what they mean.*classes\.txt"):
        open_dataset(folder, task="segment")
    for path in (folder / "Annotations").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="no file says what they mean"):
        open_dataset(folder, task="segment")


def test_one_value_a_mask_is_one_class_only_where_it_is_the_same_in_all(tmp_path: Path) -> None:
    for name, values in (
        ("same", (1, 1)),
        ("white", (1, 255, 0)),
        ("different", (1, 2)),
        ("some", (1, 2, 0)),
    ):
        for part in ("images", "masks"):
            (tmp_path / name / part).mkdir(parents=True)
        for number, scene in enumerate(scenes(6)):
            scene.image.save(tmp_path / name / "images" / f"{scene.name}.png")
            mask_HW = scene.masks()[0][1] * values[number % len(values)]
            Image.fromarray(mask_HW).save(tmp_path / name / "masks" / f"{scene.name}.png")
    assert open_dataset(tmp_path / "same", task="segment").class_names == ("object",)
    white = open_dataset(tmp_path / "white", task="segment")
    assert (white.class_names, sum(len(image.classes_M) > 0 for image in white.images)) == (("object",), 4)
    for name in ("different", "some"):
        with pytest.raises(DatasetError, match="no file says what they mean"):
            open_dataset(tmp_path / name, task="segment")


def test_rims_of_one_class_are_no_objects(tmp_path: Path) -> None:
    folder = write_voc(tmp_path / "set", {"corner": ("hook", 1), "wedge": ("hook", 1)}, objects=False)
    shutil.rmtree(folder / "Annotations")
    found = open_dataset(folder, task="segment")
    assert found.class_names == ("object",)
    assert all(len(image.classes_M) == 2 for image in found.images)


@pytest.mark.parametrize(
    ("line", "num_val"), [("images/{0}.png masks/{0}_mask.png\n", 2), ("{0}_mask\n", None)]
)
def test_lists_beside_masks_name_the_image_or_are_left(
    tmp_path: Path, line: str, num_val: int | None
) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number, scene in enumerate(scenes(8)):
        scene.image.save(tmp_path / "images" / f"{scene.name}.png")
        Image.fromarray(scene.masks()[0][1] * 255).save(tmp_path / "masks" / f"{scene.name}_mask.png")
        with (tmp_path / ("val.txt" if number < 2 else "train.txt")).open("a") as listed:
            listed.write(line.format(scene.name))
    found = open_dataset(tmp_path, task="segment")
    assert len(found.images) == 8
    assert num_val in (None, len(found.of_split("val")))


def test_lists_cannot_divide_images_of_one_name_in_several_folders(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for part in ("images", "masks"):
            (tmp_path / split / part).mkdir(parents=True)
    for number, scene in enumerate(scenes(8)):
        split = ("train", "val")[number % 2]
        scene.image.save(tmp_path / split / "images" / f"{number // 2}.png")
        Image.fromarray(scene.masks()[0][1] * 255).save(tmp_path / split / "masks" / f"{number // 2}.png")
        with (tmp_path / f"{split}.txt").open("a") as listed:
            listed.write(f"{split}/images/{number // 2}.png\n")
    found = open_dataset(tmp_path, task="segment")
    assert (len(found.of_split("train")), len(found.of_split("val"))) == (4, 4)


def test_images_without_a_mask_are_told(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number, scene in enumerate(scenes(6)):
        scene.image.save(tmp_path / "images" / f"{scene.name}.png")
        if number < 5:
            Image.fromarray(scene.masks()[0][1] * 255).save(tmp_path / "masks" / f"{scene.name}.png")
    found = open_dataset(tmp_path, task="segment")
    assert (len(found.images), kinds(found)["image_without_mask"]) == (5, 1)


def test_pictures_to_look_at_are_no_masks_and_no_classes(tmp_path: Path) -> None:
    """LabelMe's labelme2voc writes a drawing beside each pair of masks."""
    folder = write_voc(tmp_path / "set", OWN_NUMBERS)
    (folder / "SegmentationClassVisualization").mkdir()
    for path in (folder / "JPEGImages").iterdir():
        (folder / "SegmentationClassVisualization" / path.name).write_bytes(path.read_bytes())
    for part in ("Annotations", "ImageSets"):
        shutil.rmtree(folder / part)
    (folder / "class_names.txt").write_text("__ignore__\n_background_\nhook\nramp\n")
    found = open_dataset(folder)
    assert (found.task, found.class_names, len(found.images)) == ("segment", ("hook", "ramp"), 9)
    for part in ("SegmentationClass", "SegmentationObject"):
        shutil.rmtree(folder / part)
    with pytest.raises(DatasetError, match="no labels that are read"):
        open_dataset(folder)


def test_rectangular_masks_are_outlines(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for scene in scenes(6):
        scene.image.save(tmp_path / "images" / f"{scene.name}.png")
        mask_HW = np.zeros((SIDE[1], SIDE[0]), np.uint8)
        mask_HW[10:30, 20:50] = 255
        Image.fromarray(mask_HW).save(tmp_path / "masks" / f"{scene.name}.png")
    assert open_dataset(tmp_path).task == open_dataset(tmp_path, task="segment").task == "segment"


def test_a_folder_is_no_class_where_its_masks_hold_several_values(tmp_path: Path) -> None:
    """As in Oxford's pets: annotations/rims holds pet, ground and rim, and "rims" is none of them."""
    for part in ("images", "annotations/rims"):
        (tmp_path / part).mkdir(parents=True)
    for scene in scenes(6):
        scene.image.save(tmp_path / "images" / f"{scene.name}.jpg")
        Image.fromarray(scene.masks()[0][1] + 1).save(tmp_path / "annotations/rims" / f"{scene.name}.png")
    with pytest.raises(DatasetError, match=r"holds 2 values.*one class alone, 'rims'"):
        open_dataset(tmp_path)
