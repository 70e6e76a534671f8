"""The plan of image classification, its own ledger: the official classifier, random weights, and the zoo's.

Detectors whose backbone starts a classifier take part too: COCO's and two of the zoo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.truth.entries import BOTH, LONG, Entry, row
from recommender.records import Mode, Recipe

CLASSIFY = Recipe(epochs=10, imgsz=128)
REAL_CLASSIFY = Recipe(epochs=60, imgsz=224)
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
CLASSIFY_LONG = ("flowers", "tile_cls", "clothing", "dogs_cats")


def _classify() -> Iterator[Entry]:
    """The plan's starts; the official classifier again, and at 60 epochs; the second seed; the zoo's classifiers.

    Detectors are not frozen: their backbone lacks a layer of a classifier's, which would keep its random weights.
    """
    yield from _classify_seed(0)
    for target in CLASSIFY_TARGETS:  # the first two on most sets: these need a second seed first
        for mode in BOTH:
            yield from row(target, mode, ("imagenet",), replace(CLASSIFY, seed=1), "classify")
    for target in CLASSIFY_LONG:
        for mode in BOTH:
            yield from row(target, mode, ("imagenet",), replace(CLASSIFY, epochs=LONG.epochs), "classify")
    yield from _classify_seed(1)
    for mode in ("freeze", "full"):
        for target in CLASSIFY_TARGETS:
            yield from row(target, mode, CLASSIFY_ZOO, CLASSIFY, "classify")


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


def _real_classify() -> Iterator[Entry]:
    for target in CLASSIFY_TARGETS:
        yield from row(target, "full", ("imagenet", "coco"), REAL_CLASSIFY, "classify")
        yield from row(target, "freeze", ("imagenet",), REAL_CLASSIFY, "classify")
        yield Entry(target=target, source=None, mode="scratch", recipe=REAL_CLASSIFY, task="classify")


PARTS: dict[str, Callable[[], Iterator[Entry]]] = {"classify": _classify, "real-classify": _real_classify}
