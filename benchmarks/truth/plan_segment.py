"""The plan of instance segmentation, its own ledger: COCO's segmenter and detector, random weights, the zoo's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from benchmarks.truth.entries import BASE, BOTH, LONG, Entry, row
from recommender.records import Mode, Recipe

SEGMENT = BASE  # as detection, so that one history can tell of both
REAL_SEGMENT = Recipe(epochs=60, imgsz=320)
# Of the zoo's detectors the most similar one and a dissimilar one (similarity as for WIDTH).
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


def _segment() -> Iterator[Entry]:
    """Every start of each target in both modes, COCO's and a zoo segmenter at 60 epochs; the second seed after all."""
    yield from _segment_seed(0)
    for target in SEGMENT_TARGETS:
        for mode in BOTH:
            yield from row(target, mode, SEGMENT_ZOO, SEGMENT, "segment")
    for target in SEGMENT_LONG:
        for mode in BOTH:
            yield from row(target, mode, ("coco-seg", SEGMENT_ZOO[0]), LONG, "segment")
    yield from _segment_seed(0, SEGMENT_SEEN)
    for target in SEGMENT_SEEN:
        for mode in BOTH:
            yield from row(target, mode, SEGMENT_ZOO, SEGMENT, "segment")
    for target, close in SEGMENT_CLOSE.items():
        for source, mode in close:
            yield from row(target, mode, (source,), replace(SEGMENT, seed=1), "segment")
    yield from _segment_seed(1)


def _segment_seed(seed: int, targets: Mapping[str, tuple[str, str]] = SEGMENT_TARGETS) -> Iterator[Entry]:
    recipe = replace(SEGMENT, seed=seed)
    for target, detectors in targets.items():
        yield from row(target, "full", ("coco-seg", "coco"), recipe, "segment")
        yield from row(target, "freeze", ("coco-seg",), recipe, "segment")
        yield Entry(target=target, source=None, mode="scratch", recipe=recipe, task="segment")
        yield from row(target, "full", detectors, recipe, "segment")
    for target, detectors in targets.items():
        yield from row(target, "freeze", ("coco", *detectors), recipe, "segment")


def _real_segment() -> Iterator[Entry]:
    for target in SEGMENT_TARGETS:
        yield from row(target, "full", ("coco-seg", "coco"), REAL_SEGMENT, "segment")
        yield from row(target, "freeze", ("coco-seg",), REAL_SEGMENT, "segment")
        yield Entry(target=target, source=None, mode="scratch", recipe=REAL_SEGMENT, task="segment")


PARTS: dict[str, Callable[[], Iterator[Entry]]] = {"segment": _segment, "real-segment": _real_segment}
