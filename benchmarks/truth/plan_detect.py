"""The plan of detection: sets, starts and budgets, in the order of their worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.truth.entries import BASE, FAMILIES, LONG, RANDOM_SUFFIX, Entry, row
from recommender.records import Mode, Recipe
from recommender.training_recipe import learning_rate

# Small ones and those with a relative among the sources first. cards and coco_mini hold too few images a
# class for a stable val score.
TARGETS = (
    "mask_wearing",
    "raccoon",
    "bccd",
    "ships",
    "neu_det",
    "gtsdb_de",
    "wider_face",
    "fruit",
    "deep_pcb",
    "pothole",
    "aerial_cars",
    "website_ui",
)
SEED_TARGETS = ("mask_wearing", "bccd", "ships")
FRACTION_TARGETS = ("mask_wearing", "ships", "fruit")
LONG_TARGETS = ("mask_wearing", "bccd")
EARLY_FREEZE = ("coco", "wider_face", "bccd", "ships")  # enough to place the mode before the full pass
FEW = ("coco", "wider_face", "bccd", "ships", "website_ui")
SOURCES = (
    "wider_face",
    "bccd",
    "ships",
    "mask_wearing",
    "gtsdb_de",
    "aerial_cars",
    "neu_det",
    "deep_pcb",
    "fruit",
    "website_ui",
)
MORE_SOURCES = ("raccoon", "pothole", "cards")  # last: the first ten already span near and far
# Targets of the second collection: the two sources most similar to each, one dissimilar, two in rotation (similarity of
# whole data sets by `recommender.profile.compare`). Left out: fruits_nuts (4 val images), nuclei and leaf_coffee_seg
# (median object under 12 px at 192 px), coco_seg_mini (COCO's own images).
WIDTH: dict[str, tuple[str, str, str, str, str]] = {
    "road_signs": ("deep_pcb", "gtsdb_de", "bccd", "wider_face", "pothole"),
    "apples": ("fruit", "raccoon", "gtsdb_de", "ships", "website_ui"),
    "palm_trees": ("pothole", "neu_det", "bccd", "aerial_cars", "cards"),
    "pedestrians": ("wider_face", "mask_wearing", "bccd", "raccoon", "deep_pcb"),
    "microcontrollers": ("cards", "deep_pcb", "bccd", "website_ui", "mask_wearing"),
    "cone_cube": ("cards", "ships", "bccd", "fruit", "wider_face"),
    "brain_mri": ("deep_pcb", "raccoon", "gtsdb_de", "bccd", "neu_det"),
    "price_tags": ("website_ui", "cards", "neu_det", "pothole", "ships"),
    "rice_pests": ("deep_pcb", "raccoon", "gtsdb_de", "fruit", "aerial_cars"),
    "steel_seg": ("ships", "pothole", "bccd", "deep_pcb", "raccoon"),
    "crop_weed": ("ships", "pothole", "gtsdb_de", "neu_det", "mask_wearing"),
    "indian_food": ("fruit", "raccoon", "gtsdb_de", "bccd", "cards"),
    "soda_cans": ("cards", "deep_pcb", "neu_det", "fruit", "wider_face"),
    "fire_smoke": ("aerial_cars", "ships", "bccd", "pothole", "website_ui"),
    "cat_face": ("raccoon", "deep_pcb", "bccd", "wider_face", "fruit"),
    "aquarium_fish": ("deep_pcb", "raccoon", "gtsdb_de", "ships", "neu_det"),
    "garbage": ("aerial_cars", "wider_face", "bccd", "pothole", "cards"),
    "weapons": ("deep_pcb", "raccoon", "bccd", "ships", "mask_wearing"),
    "balloon": ("fruit", "deep_pcb", "neu_det", "raccoon", "bccd"),
}
# Budget surface: a half fraction of images {40, all} x pixels {160, 320} x epochs {10, 60}, and a centre. By target:
# the number of train images and the most similar source that the zoo may hold.
SURFACE: dict[str, tuple[int, str]] = {
    "mask_wearing": (118, "wider_face"),
    "bccd": (160, "deep_pcb"),
    "raccoon": (154, "ships"),
    "ships": (160, "pothole"),
    "pothole": (160, "ships"),
    "fruit": (160, "raccoon"),
    "neu_det": (160, "ships"),
    "deep_pcb": (160, "ships"),
}
SURFACE_CELLS = (
    (40, 160, 10),
    (160, 320, 10),
    (40, 320, 60),
    (80, 224, 25),
    (160, 160, 60),
)  # images, px, epochs
# What a first try is: (px, epochs) on all images.
SHORT_CELLS = ((192, 4), (96, 3), (320, 1))
# Other budgets on the sets of the second collection: (share of the images, px, epochs).
QUICK_CELLS = ((0.4, 160, 10), (1.0, 192, 4), (1.0, 320, 1), (1.0, 96, 3))
LONG_CELLS = ((1.0, 160, 60), (1.0, 320, 10))
# As few images as a first try with a camera has, fewer than any built-in run: (px, epochs), on the sets of the surface,
# first those where the forecast, without any run on them, expects most.
FEW_IMAGES = 10
FEW_CELLS = ((160, 10), (160, 60))
FEW_TARGETS = ("fruit", "raccoon", "neu_det", "ships", "pothole", "bccd", "mask_wearing", "deep_pcb")
# At the budget of real projects, which a GPU trains in minutes: the image size and epochs that ultralytics takes where
# nothing is said, and shorter ones for the other tasks.
REAL = Recipe(epochs=100, imgsz=640)
# Sets assembled from several (`assembled.py`), and of those not in them the most similar source.
LARGE: dict[str, str] = {"mixed_outdoors": "wider_face", "mixed_objects": "ships", "mixed_nature": "ships"}
LARGE_RECIPE = Recipe(epochs=30, imgsz=128)
LARGE_FRACTION = 0.1  # the same sets with as many images as the others have
# Half, two and four times the default learning rate of a mode.
RATE_TARGETS = ("mask_wearing", "bccd", "ships", "fruit")
RATE_FACTORS = (0.5, 2.0, 4.0)
FROM_RANDOM = ("bccd", "fruit", "wider_face")  # poor starts: domain checkpoints that never saw COCO
# Families and image sizes: public weights of other families, by their names in the catalogue, at 128 and 256 px,
# around the usual 192. Sets from small objects to large ones.
SIZES = (128, 256)
SIZE_TARGETS = ("mask_wearing", "gtsdb_de", "bccd", "ships", "neu_det", "fruit")


def _first_collection() -> Iterator[Entry]:
    for target in TARGETS:
        yield from row(target, "full", ("coco", *SOURCES), BASE)
        yield Entry(target=target, source=None, mode="scratch", recipe=BASE)
        yield from row(target, "freeze", EARLY_FREEZE, BASE)
    for target in SEED_TARGETS:
        for seed in (1, 2):
            yield from row(target, "full", FEW, replace(BASE, seed=seed))
    for target in TARGETS[:6]:
        yield from row(target, "full", tuple(f"{name}{RANDOM_SUFFIX}" for name in FROM_RANDOM), BASE)
    for target in FRACTION_TARGETS:
        yield from row(target, "full", FEW, replace(BASE, fraction=0.33))
        yield from row(target, "freeze", ("coco", "wider_face"), replace(BASE, fraction=0.33))
    yield from _long(LONG_TARGETS[0])
    for target in TARGETS:
        yield from row(target, "freeze", ("coco", *SOURCES), BASE)
    yield from _long(LONG_TARGETS[1])
    for mode in ("full", "freeze"):
        for target in TARGETS:
            yield from row(target, mode, MORE_SOURCES, BASE)


def _long(target: str) -> Iterator[Entry]:
    yield Entry(target=target, source=None, mode="scratch", recipe=LONG)
    yield from row(target, "full", ("coco", "wider_face", "website_ui"), LONG)


def _width() -> Iterator[Entry]:
    for target, (nearest, _, far, _, _) in WIDTH.items():
        yield from row(target, "full", ("coco", nearest), BASE)
        yield Entry(target=target, source=None, mode="scratch", recipe=BASE)
        yield from row(target, "freeze", ("coco",), BASE)
        yield from row(target, "full", (far,), BASE)
    second_seed = replace(BASE, seed=1)
    for target, (nearest, _, _, _, _) in WIDTH.items():
        yield from row(target, "full", ("coco", nearest), second_seed)
        yield Entry(target=target, source=None, mode="scratch", recipe=second_seed)
        yield from row(target, "freeze", ("coco",), second_seed)
    for target, (nearest, second, _, one, other) in WIDTH.items():
        yield from row(target, "full", (second, one, other), BASE)
        yield from row(target, "freeze", (nearest,), BASE)
    for target, (nearest, second, far, one, other) in WIDTH.items():
        yield from row(target, "full", (second, far, one, other), second_seed)
        yield from row(target, "freeze", (nearest,), second_seed)


def _surface() -> Iterator[Entry]:
    for images, imgsz, epochs in SURFACE_CELLS:
        for target, (available, nearest) in SURFACE.items():
            fraction = round(min(images / available, 1.0), 4)
            recipe = Recipe(epochs=epochs, imgsz=imgsz, fraction=fraction)
            yield from row(target, "full", ("coco", nearest), recipe)
            yield Entry(target=target, source=None, mode="scratch", recipe=recipe)
            yield from row(target, "freeze", ("coco",), recipe)


def _short() -> Iterator[Entry]:
    for imgsz, epochs in SHORT_CELLS:
        for target, (_, nearest) in SURFACE.items():
            recipe = Recipe(epochs=epochs, imgsz=imgsz)
            yield from row(target, "full", ("coco", nearest), recipe)
            yield Entry(target=target, source=None, mode="scratch", recipe=recipe)
            yield from row(target, "freeze", ("coco",), recipe)


def _budgets() -> Iterator[Entry]:
    """Target by target, so that each has whole races."""
    for cells in (QUICK_CELLS, LONG_CELLS):
        for target, (nearest, *_) in WIDTH.items():
            for fraction, imgsz, epochs in cells:
                recipe = Recipe(epochs=epochs, imgsz=imgsz, fraction=fraction)
                yield from row(target, "full", ("coco", nearest), recipe)
                yield Entry(target=target, source=None, mode="scratch", recipe=recipe)
                yield from row(target, "freeze", ("coco",), recipe)


def _few() -> Iterator[Entry]:
    for seed in (0, 1):
        for imgsz, epochs in FEW_CELLS:
            recipes = {
                target: Recipe(
                    epochs=epochs,
                    imgsz=imgsz,
                    fraction=round(FEW_IMAGES / SURFACE[target][0], 4),
                    seed=seed,
                )
                for target in FEW_TARGETS
            }
            for target, recipe in recipes.items():
                yield from row(target, "full", ("coco", SURFACE[target][1]), recipe)
                yield from row(target, "freeze", ("coco",), recipe)
            for target, recipe in recipes.items():
                yield Entry(target=target, source=None, mode="scratch", recipe=recipe)


def _real() -> Iterator[Entry]:
    for target in SURFACE:
        yield from row(target, "full", ("coco",), REAL)
        yield Entry(target=target, source=None, mode="scratch", recipe=REAL)
    for target, (_, nearest) in SURFACE.items():
        yield from row(target, "freeze", ("coco",), REAL)
        yield from row(target, "full", (nearest,), REAL)


def _large() -> Iterator[Entry]:
    """All images and a tenth of them, side by side: what ten times the images bring."""
    recipes = (replace(LARGE_RECIPE, fraction=LARGE_FRACTION), LARGE_RECIPE)
    for recipe in recipes:
        for target in LARGE:
            yield from row(target, "full", ("coco",), recipe)
    for recipe in recipes:
        for target in LARGE:
            yield Entry(target=target, source=None, mode="scratch", recipe=recipe)
    for recipe in recipes:
        for target, nearest in LARGE.items():
            yield from row(target, "freeze", ("coco",), recipe)
            yield from row(target, "full", (nearest,), recipe)


def _rates() -> Iterator[Entry]:
    for seed in (0, 1):
        for factor in RATE_FACTORS:
            for target in RATE_TARGETS:
                yield from row(target, "full", ("coco",), _faster(factor, "full", seed))
                yield from row(target, "freeze", ("coco",), _faster(factor, "freeze", seed))
                recipe = _faster(factor, "scratch", seed)
                yield Entry(target=target, source=None, mode="scratch", recipe=recipe)


def _faster(factor: float, mode: Mode, seed: int) -> Recipe:
    return replace(BASE, seed=seed, learning_rate=factor * learning_rate(BASE, mode))


def _sizes() -> Iterator[Entry]:
    for target in SIZE_TARGETS:
        for imgsz in SIZES:
            yield from row(target, "full", ("coco", *FAMILIES), replace(BASE, imgsz=imgsz))


PARTS: dict[str, Callable[[], Iterator[Entry]]] = {
    "first": _first_collection,
    "width": _width,
    "surface": _surface,
    "short": _short,
    "budgets": _budgets,
    "few": _few,
    "sizes": _sizes,
    "rates": _rates,
    "large": _large,
    "real": _real,
}
