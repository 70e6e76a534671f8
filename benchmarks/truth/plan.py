"""Which runs make the ground truth, in the order of their worth: a table cut off anywhere is of use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recommender.records import Mode, Recipe

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
FROM_RANDOM = ("bccd", "fruit", "wider_face")  # poor starts: domain checkpoints that never saw COCO
RANDOM_SUFFIX = "_from_random"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One planned run. `source` None is random weights, "coco" the public checkpoint."""

    target: str
    source: str | None
    mode: Mode
    recipe: Recipe

    @property
    def checkpoint(self) -> str:
        """The start's name as users see it."""
        return "scratch" if self.source is None else f"{self.source}-yolo11n"


def plan() -> Iterator[Entry]:
    """Every run once, best first."""
    seen: set[Entry] = set()
    for entry in _passes():
        own = entry.source is not None and entry.source.removesuffix(RANDOM_SUFFIX) == entry.target
        if not own and entry not in seen:
            seen.add(entry)
            yield entry


def _passes() -> Iterator[Entry]:
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


def _row(target: str, mode: Mode, sources: tuple[str, ...], recipe: Recipe) -> Iterator[Entry]:
    for source in sources:
        yield Entry(target=target, source=source, mode=mode, recipe=recipe)


def _with(recipe: Recipe, *, seed: int = 0, fraction: float = 1.0) -> Recipe:
    return Recipe(epochs=recipe.epochs, imgsz=recipe.imgsz, seed=seed, fraction=fraction)
