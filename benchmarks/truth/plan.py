"""The runs that make the ground truth, in the order of their worth: a table cut off anywhere is of use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from recommender.records import Mode, Recipe
from recommender.tasks import Task
from recommender.training_recipe import learning_rate

BASE = Recipe(epochs=10, imgsz=192)
LONG = Recipe(epochs=60, imgsz=192)  # enough for random weights to learn something

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
# At the budget of real projects, which a GPU trains in minutes: the image size and epochs that ultralytics takes where
# nothing is said, and shorter ones for the other tasks.
REAL = Recipe(epochs=100, imgsz=640)
REAL_SEGMENT = Recipe(epochs=60, imgsz=320)
REAL_CLASSIFY = Recipe(epochs=60, imgsz=224)
# Sets assembled from several (`assembled.py`), and of those not in them the most similar source.
LARGE: dict[str, str] = {"mixed_outdoors": "wider_face", "mixed_objects": "ships", "mixed_nature": "ships"}
LARGE_RECIPE = Recipe(epochs=30, imgsz=128)
LARGE_FRACTION = 0.1  # the same sets with as many images as the others have
# Half, two and four times the default learning rate of a mode.
RATE_TARGETS = ("mask_wearing", "bccd", "ships", "fruit")
RATE_FACTORS = (0.5, 2.0, 4.0)
BOTH: tuple[Mode, ...] = ("full", "freeze")
FROM_RANDOM = ("bccd", "fruit", "wider_face")  # poor starts: domain checkpoints that never saw COCO
RANDOM_SUFFIX = "_from_random"


# Families and image sizes: public weights of other families, by their names in the catalogue, at 128 and 256 px,
# around the usual 192. Sets from small objects to large ones.
FAMILIES = ("yolov8n", "yolo26n")
SIZES = (128, 256)
SIZE_TARGETS = ("mask_wearing", "gtsdb_de", "bccd", "ships", "neu_det", "fruit")

# Image classification, its own ledger: the official classifier in both modes, random weights, and detectors whose
# backbone starts a classifier: COCO's and two of the zoo.
CLASSIFY = Recipe(epochs=10, imgsz=128)
CLASSIFY_TARGETS = (
    "flowers",
    "clothing",
    "tile_cls",
    "leaf_rice",
    "xray_chest",
    "sign_digits",
    "dogs_cats",
    "leaf_potato",
    "mask_photos",
)
CLASSIFY_DETECTORS = ("coco", "mask_wearing", "ships")
CLASSIFY_ZOO = ("clothing", "sign_digits")  # trained from ImageNet's classifier; after all others

# Instance segmentation, its own ledger: COCO's segmenter and detector in both modes, random weights, and of the zoo's
# detectors the most similar one and a dissimilar one, by target (similarity as for WIDTH).
SEGMENT = BASE  # as detection, so that one history can tell of both
SEGMENT_TARGETS: dict[str, tuple[str, str]] = {
    "balloon": ("mask_wearing", "bccd"),
    "nuclei": ("ships", "pothole"),
    "leaf_coffee_seg": ("ships", "bccd"),
    "steel_seg": ("ships", "bccd"),
    "crop_weed": ("ships", "gtsdb_de"),
    "fruits_nuts": ("raccoon", "gtsdb_de"),  # last: 4 val images
}
SEGMENT_ZOO = ("leaf_coffee_seg", "fruits_nuts")  # segmenters trained from COCO's; after the detectors frozen
SEGMENT_LONG = ("balloon", "steel_seg")  # does freezing still pay at 60 epochs?
CLASSIFY_LONG = ("flowers", "tile_cls", "clothing", "dogs_cats")
# COCO's own pictures: its train images are among those that every start but scratch began from, its val images are not.
# The backtest leaves out COCO's own weights, which have seen 73 % of the images.
SEGMENT_SEEN = {"coco_seg_mini": ("ships", "bccd")}
# Starts within .02 of the best of seed 0: these need a second one first.
COCO_SEG: tuple[tuple[str, Mode], ...] = (("coco-seg", "full"), ("coco-seg", "freeze"))
SEGMENT_CLOSE: dict[str, tuple[tuple[str, Mode], ...]] = {
    "balloon": (*COCO_SEG, ("leaf_coffee_seg", "full")),
    "crop_weed": (("leaf_coffee_seg", "full"), ("coco-seg", "full"), ("leaf_coffee_seg", "freeze")),
    "fruits_nuts": (("coco-seg", "freeze"),),
    "steel_seg": (("fruits_nuts", "full"), ("leaf_coffee_seg", "full"), ("coco-seg", "freeze")),
    "leaf_coffee_seg": (*COCO_SEG, ("fruits_nuts", "full"), ("fruits_nuts", "freeze")),
    "coco_seg_mini": COCO_SEG,
    "nuclei": (
        ("leaf_coffee_seg", "full"),
        *COCO_SEG,
        ("leaf_coffee_seg", "freeze"),
        ("fruits_nuts", "freeze"),
        ("fruits_nuts", "full"),
    ),
}
# Checkpoints whose names do not end in "-yolo11n": public ones, then those of the zoo.
NAMES = {
    "imagenet": "imagenet-yolov8n-cls",
    "coco-seg": "coco-yolo11n-seg",
    "clothing": "clothing-yolov8n-cls",
    "sign_digits": "sign_digits-yolov8n-cls",
    "leaf_coffee_seg": "leaf_coffee_seg-yolo11n-seg",
    "fruits_nuts": "fruits_nuts-yolo11n-seg",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One planned run. `source` None is random weights, "coco", NAMES and FAMILIES are public checkpoints."""

    target: str
    source: str | None
    mode: Mode
    recipe: Recipe
    task: Task = "detect"

    @property
    def checkpoint(self) -> str:
        """The start's name as users see it."""
        if self.source is None:
            return "scratch"
        if self.source in FAMILIES:
            return self.source
        return NAMES.get(self.source, f"{self.source}-yolo11n")


def plan(part: str | None = None) -> Iterator[Entry]:
    """Every run once, best first; `part` is one of PARTS, None is detection at small budgets."""
    seen: set[Entry] = set()
    for entry in _passes(part):
        own = entry.source is not None and entry.source.removesuffix(RANDOM_SUFFIX) == entry.target
        if not own and entry not in seen:
            seen.add(entry)
            yield entry


def _passes(part: str | None) -> Iterator[Entry]:
    for name in (part,) if part else SMALL_PARTS:
        yield from PARTS[name]()


def _classify() -> Iterator[Entry]:
    """The plan's starts; the official classifier again, and at 60 epochs; the second seed; the zoo's classifiers.

    Detectors are not frozen: their backbone lacks a layer of a classifier's, which would keep its random weights.
    """
    yield from _classify_seed(0)
    for target in CLASSIFY_TARGETS:  # the first two on most sets: these need a second seed first
        for mode in BOTH:
            yield from _row(target, mode, ("imagenet",), replace(CLASSIFY, seed=1), "classify")
    for target in CLASSIFY_LONG:
        for mode in BOTH:
            yield from _row(target, mode, ("imagenet",), replace(CLASSIFY, epochs=LONG.epochs), "classify")
    yield from _classify_seed(1)
    for mode in ("freeze", "full"):
        for target in CLASSIFY_TARGETS:
            yield from _row(target, mode, CLASSIFY_ZOO, CLASSIFY, "classify")


def _classify_seed(seed: int) -> Iterator[Entry]:
    recipe = replace(CLASSIFY, seed=seed)
    for target in CLASSIFY_TARGETS:
        starts: list[tuple[str | None, Mode]] = [
            ("imagenet", "full"),
            ("imagenet", "freeze"),
            (None, "scratch"),
            *((source, "full") for source in CLASSIFY_DETECTORS),
        ]
        for source, mode in starts:
            yield Entry(target=target, source=source, mode=mode, recipe=recipe, task="classify")


def _segment() -> Iterator[Entry]:
    """Every start of each target in both modes, COCO's and a zoo segmenter at 60 epochs; the second seed after all."""
    yield from _segment_seed(0)
    for target in SEGMENT_TARGETS:
        for mode in BOTH:
            yield from _row(target, mode, SEGMENT_ZOO, SEGMENT, "segment")
    for target in SEGMENT_LONG:
        for mode in BOTH:
            yield from _row(target, mode, ("coco-seg", SEGMENT_ZOO[0]), LONG, "segment")
    yield from _segment_seed(0, SEGMENT_SEEN)
    for target in SEGMENT_SEEN:
        for mode in BOTH:
            yield from _row(target, mode, SEGMENT_ZOO, SEGMENT, "segment")
    for target, close in SEGMENT_CLOSE.items():
        for source, mode in close:
            yield from _row(target, mode, (source,), replace(SEGMENT, seed=1), "segment")
    yield from _segment_seed(1)


def _segment_seed(seed: int, targets: Mapping[str, tuple[str, str]] = SEGMENT_TARGETS) -> Iterator[Entry]:
    recipe = replace(SEGMENT, seed=seed)
    for target, detectors in targets.items():
        yield from _row(target, "full", ("coco-seg", "coco"), recipe, "segment")
        yield from _row(target, "freeze", ("coco-seg",), recipe, "segment")
        yield Entry(target=target, source=None, mode="scratch", recipe=recipe, task="segment")
        yield from _row(target, "full", detectors, recipe, "segment")
    for target, detectors in targets.items():
        yield from _row(target, "freeze", ("coco", *detectors), recipe, "segment")


def _width() -> Iterator[Entry]:
    for target, (nearest, _, far, _, _) in WIDTH.items():
        yield from _row(target, "full", ("coco", nearest), BASE)
        yield Entry(target=target, source=None, mode="scratch", recipe=BASE)
        yield from _row(target, "freeze", ("coco",), BASE)
        yield from _row(target, "full", (far,), BASE)
    second_seed = _with(BASE, seed=1)
    for target, (nearest, _, _, _, _) in WIDTH.items():
        yield from _row(target, "full", ("coco", nearest), second_seed)
        yield Entry(target=target, source=None, mode="scratch", recipe=second_seed)
        yield from _row(target, "freeze", ("coco",), second_seed)
    for target, (nearest, second, _, one, other) in WIDTH.items():
        yield from _row(target, "full", (second, one, other), BASE)
        yield from _row(target, "freeze", (nearest,), BASE)
    for target, (nearest, second, far, one, other) in WIDTH.items():
        yield from _row(target, "full", (second, far, one, other), second_seed)
        yield from _row(target, "freeze", (nearest,), second_seed)


def _surface() -> Iterator[Entry]:
    for images, imgsz, epochs in SURFACE_CELLS:
        for target, (available, nearest) in SURFACE.items():
            fraction = round(min(images / available, 1.0), 4)
            recipe = Recipe(epochs=epochs, imgsz=imgsz, fraction=fraction)
            yield from _row(target, "full", ("coco", nearest), recipe)
            yield Entry(target=target, source=None, mode="scratch", recipe=recipe)
            yield from _row(target, "freeze", ("coco",), recipe)


def _real() -> Iterator[Entry]:
    for target in SURFACE:
        yield from _row(target, "full", ("coco",), REAL)
        yield Entry(target=target, source=None, mode="scratch", recipe=REAL)
    for target, (_, nearest) in SURFACE.items():
        yield from _row(target, "freeze", ("coco",), REAL)
        yield from _row(target, "full", (nearest,), REAL)


def _real_segment() -> Iterator[Entry]:
    for target in SEGMENT_TARGETS:
        yield from _row(target, "full", ("coco-seg", "coco"), REAL_SEGMENT, "segment")
        yield from _row(target, "freeze", ("coco-seg",), REAL_SEGMENT, "segment")
        yield Entry(target=target, source=None, mode="scratch", recipe=REAL_SEGMENT, task="segment")


def _real_classify() -> Iterator[Entry]:
    for target in CLASSIFY_TARGETS:
        yield from _row(target, "full", ("imagenet", "coco"), REAL_CLASSIFY, "classify")
        yield from _row(target, "freeze", ("imagenet",), REAL_CLASSIFY, "classify")
        yield Entry(target=target, source=None, mode="scratch", recipe=REAL_CLASSIFY, task="classify")


def _large() -> Iterator[Entry]:
    """All images and a tenth of them, side by side: what ten times the images bring."""
    recipes = (replace(LARGE_RECIPE, fraction=LARGE_FRACTION), LARGE_RECIPE)
    for recipe in recipes:
        for target in LARGE:
            yield from _row(target, "full", ("coco",), recipe)
    for recipe in recipes:
        for target in LARGE:
            yield Entry(target=target, source=None, mode="scratch", recipe=recipe)
    for recipe in recipes:
        for target, nearest in LARGE.items():
            yield from _row(target, "freeze", ("coco",), recipe)
            yield from _row(target, "full", (nearest,), recipe)


def _rates() -> Iterator[Entry]:
    for seed in (0, 1):
        for factor in RATE_FACTORS:
            for target in RATE_TARGETS:
                yield from _row(target, "full", ("coco",), _faster(factor, "full", seed))
                yield from _row(target, "freeze", ("coco",), _faster(factor, "freeze", seed))
                recipe = _faster(factor, "scratch", seed)
                yield Entry(target=target, source=None, mode="scratch", recipe=recipe)


def _faster(factor: float, mode: Mode, seed: int) -> Recipe:
    return replace(BASE, seed=seed, learning_rate=factor * learning_rate(BASE, mode))


def _sizes() -> Iterator[Entry]:
    for target in SIZE_TARGETS:
        for imgsz in SIZES:
            yield from _row(target, "full", ("coco", *FAMILIES), replace(BASE, imgsz=imgsz))


def _first_collection() -> Iterator[Entry]:
    for target in TARGETS:
        yield from _row(target, "full", ("coco", *SOURCES), BASE)
        yield Entry(target=target, source=None, mode="scratch", recipe=BASE)
        yield from _row(target, "freeze", EARLY_FREEZE, BASE)
    for target in SEED_TARGETS:
        for seed in (1, 2):
            yield from _row(target, "full", FEW, _with(BASE, seed=seed))
    for target in TARGETS[:6]:
        yield from _row(target, "full", tuple(f"{name}{RANDOM_SUFFIX}" for name in FROM_RANDOM), BASE)
    for target in FRACTION_TARGETS:
        yield from _row(target, "full", FEW, _with(BASE, fraction=0.33))
        yield from _row(target, "freeze", ("coco", "wider_face"), _with(BASE, fraction=0.33))
    yield from _long(LONG_TARGETS[0])
    for target in TARGETS:
        yield from _row(target, "freeze", ("coco", *SOURCES), BASE)
    yield from _long(LONG_TARGETS[1])
    for mode in ("full", "freeze"):
        for target in TARGETS:
            yield from _row(target, mode, MORE_SOURCES, BASE)


def _long(target: str) -> Iterator[Entry]:
    yield Entry(target=target, source=None, mode="scratch", recipe=LONG)
    yield from _row(target, "full", ("coco", "wider_face", "website_ui"), LONG)


def _row(
    target: str, mode: Mode, sources: tuple[str, ...], recipe: Recipe, task: Task = "detect"
) -> Iterator[Entry]:
    for source in sources:
        yield Entry(target=target, source=source, mode=mode, recipe=recipe, task=task)


def _with(recipe: Recipe, *, seed: int = 0, fraction: float = 1.0) -> Recipe:
    return Recipe(epochs=recipe.epochs, imgsz=recipe.imgsz, seed=seed, fraction=fraction)


SMALL_PARTS = ("first", "width", "surface", "sizes")
PARTS: dict[str, Callable[[], Iterator[Entry]]] = {
    "first": _first_collection,
    "width": _width,
    "surface": _surface,
    "sizes": _sizes,
    "rates": _rates,
    "large": _large,
    "real": _real,
    "classify": _classify,
    "real-classify": _real_classify,
    "segment": _segment,
    "real-segment": _real_segment,
}
