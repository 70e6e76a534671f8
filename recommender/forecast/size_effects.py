"""Effects of image size, model size and family on a result, from published tables.

`benchmarks/size_effects.py` fits the numbers of `size_effects.json` from 572 fine-tunings of YOLOBench and the means
of RF100-VL; here they are only read. They enter the forecast as uncertain rules (`rules.py`), so runs of the user's
own on other sizes and families move them. All gains are on the model's scale (`situation.to_scale`).
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recommender.errors import UsageError
from recommender.families.ultralytics.architectures import of_task
from recommender.forecast.budget import object_side, shown_size
from recommender.forecast.situation import Situation, to_scale
from recommender.records import Checkpoint

PARAMETERS = Path(__file__).parent / "size_effects.json"
USUAL_SIZE = 192  # pixels: that of the built-in runs, to which the gain of image size is relative
USUAL_ARCHITECTURE = "yolo11n"  # that of the built-in runs, to which capacity is relative
MOST_SLOPE = 1.0
FEWEST_IMAGES = (
    300  # the tables say nothing of smaller sets: RF100-VL's, the smallest, have about 1,150 on average
)
OPERATIONS_PER_PARAMETER = 2.5  # 10^9 at 640 px, for a million parameters


def side_gain(imgsz: float, side: float, numbers: tuple[float, ...] | None = None) -> float:
    """Effect of objects of `side` pixels in images of `imgsz` pixels, up to a constant: less for each further pixel.

    One part follows the objects' size, the other the image's own: networks pretrained at 640 px lose detail below it
    whatever the objects' size.
    """
    if numbers is None:
        table = _table()["image_size"]
        numbers = (table["objects"], table["half_side"], table["size"])
    objects, half, size = numbers
    return -objects * half / (half + side) - size * 160.0 / imgsz


def capacity_slope(
    num_classes: float, num_images: float, numbers: Mapping[str, float] | None = None
) -> float:
    """Share of a difference in capacity that shows on a data set, 1 as on COCO: more with many classes and images."""
    numbers = numbers or _table()["capacity_slope"]
    slope = (
        numbers["constant"]
        + numbers["classes"] * math.log10(max(num_classes, 1))
        + numbers["images"] * math.log10(max(num_images, FEWEST_IMAGES) / 10_000)
    )
    return min(MOST_SLOPE, slope)


def image_size_term(situation: Situation) -> float:
    """Gain of the training's image size over `USUAL_SIZE`."""
    target, size = situation.target, situation.budget.imgsz
    reached = side_gain(shown_size(target, size), object_side(target, size))
    return reached - side_gain(shown_size(target, USUAL_SIZE), object_side(target, USUAL_SIZE))


def capacity_term(situation: Situation) -> float:
    """Gain of the start's architecture over `USUAL_ARCHITECTURE`; 0 for random weights, which take the others'."""
    slope = capacity_slope(len(situation.target.class_names), situation.num_train_images)
    return slope * capacity_difference(situation)


def capacity_difference(situation: Situation) -> float:
    """The lead of the start's architecture over `USUAL_ARCHITECTURE` on COCO; 0 for random weights."""
    checkpoint = situation.checkpoint
    if checkpoint is None:
        return 0.0
    return capacity(checkpoint) - _capacity_of(USUAL_ARCHITECTURE, None)


def transfer_term(situation: Situation) -> float:
    """The architecture's score on RF100-VL beyond the one expected from COCO, relative to YOLO11n."""
    checkpoint, known = situation.checkpoint, _table()["transfer"]
    if checkpoint is None:
        return 0.0
    # What was not measured there counts as the mean of what was: nothing leads for being unknown.
    return float(known.get(_detector(checkpoint.architecture), sum(known.values()) / len(known)))


def other_architecture(situation: Situation) -> float:
    """1 for an architecture that the built-in runs do not know, else 0."""
    checkpoint = situation.checkpoint
    return 0.0 if checkpoint is None or _detector(checkpoint.architecture) == USUAL_ARCHITECTURE else 1.0


def capacity(checkpoint: Checkpoint) -> float:
    """The architecture's score on COCO: published, or estimated from its operations or parameters."""
    return _capacity_of(checkpoint.architecture, checkpoint.num_parameters)


@functools.lru_cache(maxsize=1024)
def _detector(architecture: str) -> str:
    """The detector on the same network, of which the tables tell; the architecture itself where there is none."""
    try:
        return of_task(architecture, "detect") or architecture
    except UsageError:  # of no shipped architecture
        return architecture


@functools.lru_cache(maxsize=1024)
def _capacity_of(architecture: str, num_parameters: int | None) -> float:
    known = _table()["architectures"].get(_detector(architecture))
    if known is not None:
        return to_scale(known["map50_95"])
    if not num_parameters:
        return _capacity_of(USUAL_ARCHITECTURE, None)
    line = _table()["capacity_of_operations"]
    operations = num_parameters / 1e6 * OPERATIONS_PER_PARAMETER
    return float(line["constant"] + line["decade"] * math.log10(max(operations, 1.0)))


@functools.cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(PARAMETERS.read_text(encoding="utf-8"))
    return table
