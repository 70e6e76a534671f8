"""Data sets of 1,500 images and more, assembled from several of the shared ones: no single one holds so many."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from recommender.atomic_files import filling
from recommender.datasets import open_dataset
from recommender.records import LabelledImage

MAX_SIDE = 224  # px; they are trained at 192
QUALITY = 80  # of the JPEG
# Without coco_mini and coco_seg_mini, whose images COCO's weights have seen.
ASSEMBLED: dict[str, tuple[str, ...]] = {
    "mixed_outdoors": (
        *("aerial_cars", "gtsdb_de", "road_signs", "ships", "pothole", "palm_trees", "pedestrians"),
        *("fire_smoke", "garbage", "weapons", "raccoon", "balloon", "aquarium_fish"),
    ),
    "mixed_objects": (
        *("neu_det", "deep_pcb", "website_ui", "price_tags", "microcontrollers", "cone_cube", "bccd"),
        *("brain_mri", "nuclei", "soda_cans", "cards", "garbage", "weapons"),
    ),
    "mixed_nature": (
        *("apples", "fruit", "indian_food", "rice_pests", "crop_weed", "leaf_coffee_seg", "fruits_nuts"),
        *("cat_face", "raccoon", "mask_wearing", "wider_face", "aquarium_fish", "pedestrians", "palm_trees"),
        *("fire_smoke", "soda_cans"),
    ),
}


def assembled(name: str, data: Path, folder: Path) -> Path:
    """The folder of one in YOLO form, made from its parts' train and val images where it is not there yet.

    Classes of one name are one. `data` is the folder of the shared detection sets, beside it lies `seg`.
    """
    folder = folder / name
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    with filling(folder, prefix=f".{name}-", is_whole=folder.exists) as part:
        for component in ASSEMBLED[name]:
            below = data / component
            dataset = open_dataset(
                below if below.exists() else data.parent / "seg" / component, task="detect"
            )
            names += [one for one in dataset.class_names if one not in names]
            numbers = [names.index(one) for one in dataset.class_names]
            for index, image in enumerate(dataset.images):
                if image.split != "test":
                    _write(image, part, f"{component}_{index:04}", numbers)
        lines = ["train: images/train", "val: images/val", "names:", *(f"  - {one!r}" for one in names)]
        (part / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _write(image: LabelledImage, folder: Path, stem: str, numbers: list[int]) -> None:
    picture, label = (folder / kind / image.split / stem for kind in ("images", "labels"))
    picture.parent.mkdir(parents=True, exist_ok=True)
    label.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(image.path) as opened:
        pixels = opened.convert("RGB")
        pixels.thumbnail((MAX_SIDE, MAX_SIDE))
        pixels.save(picture.with_suffix(".jpg"), quality=QUALITY)
    rows = zip(image.classes_M, image.boxes_M4, strict=True)
    text = "".join(
        f"{numbers[kind]} {' '.join(f'{float(side):.6f}' for side in box)}\n" for kind, box in rows
    )
    label.with_suffix(".txt").write_text(text, encoding="utf-8")
