"""The effect of a budget: image views, distinct images and pixels, each with diminishing returns.

Every gain is bounded, so that no budget alone lifts a forecast without end. The forms follow published tables and the
curves of the built-in history; some of the results they are judged on had been seen by then (docs/accuracy.md):

- views (images × epochs): the distance to the end shrinks as 200 / (200 + views) from pretrained weights;
- distinct images: as a power law with exponent −0.3, as learning curves of data size have;
- objects: as −24 / (24 + s) of the median object's side s in pixels at 192 px; what other image sizes add or cost is in
  `size_effects.py`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.forecast.situation import Situation
from recommender.records import Profile
from recommender.tasks import task_definition

HALF_VIEWS = 200.0  # image views after which half of what training brings is there, from pretrained weights
HALF_YOUTH = 0.05  # of the cubed share still to come, at which starts differ half as much as at the beginning
# HALF_VIEWS where the branch of masks begins at random: starts differ for longer. By judgement; 1,000 before `youth`
# levelled off.
HALF_VIEWS_OF_MASKS = 400.0
# Views after which half of what random masks cost is made up for: on balloons .21 and .37 after 10 epochs, .50 and .54
# after 60.
MASKS_VIEWS = 1000.0
SCRATCH_VIEWS = 1800.0  # the same of random weights, whose rise is steeper and later
SCRATCH_VIEWS_OF_CLASSIFIERS = 16_000.0  # after 6,000 views of digits .16 is right, little above chance
SCRATCH_STEEPNESS = 2.5
SCRATCH_IMAGES = 30_000.0  # distinct images at which half of the lasting gap to pretrained weights is closed
USUAL_IMAGES = 200.0
IMAGES_EXPONENT = -0.3
HALF_OBJECT = 24.0  # pixels
USUAL_OBJECT = 32.0  # pixels
LEVEL_SIZE = 192  # pixels: the image size at which objects' sides say how hard a data set is
MOST_ENLARGED = 1.5  # times the images' own size, beyond which more pixels show nothing more
FEWEST_PIXELS = 96.0  # the smallest on record; below, results say little of any other budget
COPY_DISTANCE, COPY_SHARE = 24, 0.25  # half of what a leak may differ by: frames of one film still teach
REPEATS_SAMPLE = 512  # images whose copies are counted
REPEATS_PAIRS = 1_000_000  # compared at once: of the frames of one film nearly all are found

Matrix = NDArray[np.float64]


def distinct_images(situation: Situation) -> float:
    """Train images, near duplicates counted once: copies that are scaled or lit anew teach little."""
    return max(1.0, situation.num_train_images * distinct_share(situation.target))


@functools.lru_cache(maxsize=4096)
def distinct_share(profile: Profile) -> float:
    """Share of a data set's images left when near duplicates count once, from an even sample; 1 without hashes."""
    from recommender.datasets.duplicates import near_duplicates

    hashes_NB = profile.image_hashes_NB
    if len(hashes_NB) < 2:
        return 1.0
    step = -(-len(hashes_NB) // REPEATS_SAMPLE)
    sample_MB = np.ascontiguousarray(hashes_NB[::step])
    at_once = max(1, REPEATS_PAIRS // len(hashes_NB))
    copies_M = np.ones(len(sample_MB))
    for start in range(0, len(sample_MB), at_once):
        found = near_duplicates(
            sample_MB[start : start + at_once], hashes_NB, max_distance=COPY_DISTANCE, max_share=COPY_SHARE
        )
        rows = found[:, 0] + start
        np.add.at(copies_M, rows[rows * step != found[:, 1]], 1.0)
    return float(np.mean(1.0 / copies_M))


def views(situation: Situation) -> float:
    """The number of image views in a training."""
    return float(max(situation.num_train_images, 1) * max(situation.budget.epochs, 1))


def share_to_come(situation: Situation) -> float:
    """Share of what training brings to pretrained weights that is still to come: 1 at no training, 0 at its end."""
    return HALF_VIEWS / (HALF_VIEWS + views(situation))


def youth(situation: Situation) -> float:
    """Return 1 to 0: how far a start is at its beginning, which says little of its end; longer where masks are random.

    By the first epochs of the recorded curves it grows as share³ / (share³ + .05) with the share still to come, which
    is next to nothing at the usual budget and cannot exceed what results near 0 differ by.
    """
    half = HALF_VIEWS_OF_MASKS if masks_begin_at_random(situation) else HALF_VIEWS
    cubed = (half / (half + views(situation))) ** 3
    return (1.0 + HALF_YOUTH) * cubed / (cubed + HALF_YOUTH)


def masks_begin_at_random(situation: Situation) -> bool:
    """True for a segmenter that starts from a checkpoint of another task, which has no branch of masks to give."""
    checkpoint = situation.checkpoint
    return checkpoint is not None and checkpoint.task != "segment" and situation.target.task == "segment"


def masks_to_learn(situation: Situation) -> float:
    """1 to 0: how much random weights have yet to learn, of a segmenter whose branch of masks no checkpoint gave."""
    return MASKS_VIEWS / (MASKS_VIEWS + views(situation)) if masks_begin_at_random(situation) else 0.0


def views_term(situation: Situation) -> float:
    """A number from −1 at no training to 0 at its end."""
    return -share_to_come(situation)


def images_term(situation: Situation) -> float:
    """0 at 200 distinct images, towards 1 without end, below 0 for fewer."""
    return 1.0 - math.pow(distinct_images(situation) / USUAL_IMAGES, IMAGES_EXPONENT)


def objects_term(situation: Situation) -> float:
    """0 where the median object has a side of 32 pixels in images of 192, at most 0.43, at least −0.57."""
    side = object_side(situation.target, LEVEL_SIZE)
    return HALF_OBJECT / (HALF_OBJECT + USUAL_OBJECT) - HALF_OBJECT / (HALF_OBJECT + side)


def object_side(target: Profile, imgsz: int) -> float:
    """Median object side in pixels at an image size; 32 without boxes."""
    if not target.box_sizes_Q:
        return USUAL_OBJECT
    longer, shorter = _sides(target)
    return float(target.box_sizes_Q[2] * shown_size(target, imgsz) * math.sqrt(shorter / longer))


def shown_size(target: Profile, imgsz: int) -> float:
    """The image size that still shows something new: at most half as much again as the images have themselves."""
    longer, _ = _sides(target)
    return min(float(imgsz), MOST_ENLARGED * longer) if longer > 1 else float(imgsz)


def scratch_views_term(situation: Situation) -> float:
    """1 before random weights have learnt anything, 0 once training has converged."""
    whole_images = task_definition(situation.target.task).whole_images
    half = SCRATCH_VIEWS_OF_CLASSIFIERS if whole_images else SCRATCH_VIEWS
    return 1.0 / (1.0 + math.pow(views(situation) / half, SCRATCH_STEEPNESS))


def gain_share(situation: Situation) -> float:
    """Share of what a target gives to pretrained weights that a start has of it: 1, but 0 to 1 for random weights.

    As long as these have learnt next to nothing they reach next to nothing, on an easy target as on a hard one.
    """
    return 1.0 if situation.checkpoint is not None else (1.0 - scratch_views_term(situation)) ** 2


def scratch_images_term(situation: Situation) -> float:
    """The deficit of random weights however long they train: 1 for few distinct images, towards 0 at COCO's number."""
    return 1.0 / (1.0 + distinct_images(situation) / SCRATCH_IMAGES)


def _axes(images: float, epochs: int, imgsz: int) -> tuple[float, float, float]:
    return math.log10(images), math.log10(max(epochs, 1)) / 0.8, math.log2(imgsz)


def coordinates(situation: Situation) -> tuple[float, float, float]:
    """Decades of images, decades of epochs and octaves of pixels, scaled so that 1 is a different budget."""
    return _axes(distinct_images(situation), situation.budget.epochs, situation.budget.imgsz)


def drift_covariance(budgets_B3: Matrix, *, beyond: float = 0.0) -> Matrix:
    """B×B covariance of what wanders from the usual budget on, along each axis by itself: a Brownian motion each.

    It is 0 up to `beyond` from the usual budget and grows with the distance from there. Its expected value further out
    is the one where it was seen last, so that what is known of a data set at one budget does not fade at another.
    """
    away_B3 = budgets_B3 - USUAL_BUDGET
    distance_B3 = np.maximum(np.abs(away_B3) - beyond, 0.0)
    same_side_BB3 = away_B3[:, None] * away_B3[None, :] > 0
    shared_BB3 = np.minimum(distance_B3[:, None], distance_B3[None, :])
    wandered: Matrix = np.where(same_side_BB3, shared_BB3, 0.0).sum(axis=2)
    return wandered


def small_budget_sd(situation: Situation) -> float:
    """Standard deviation that results at very small image sizes have beyond what the rules explain."""
    return 0.2 * max(0.0, math.log2(FEWEST_PIXELS / situation.budget.imgsz))


SUPPORTED_DISTANCE = 1.0
UNSUPPORTED_SD = 0.08  # standard deviation of a target a unit further away than that: no run tells
USUAL_BUDGET = np.array(_axes(USUAL_IMAGES, 10, LEVEL_SIZE))  # that of the built-in history


def is_supported(history: Sequence[Situation], asked: Situation) -> bool:
    """True if some run of the history was made near the budget asked for, on whatever data set."""
    if not history:
        return False
    apart_N3 = np.array([coordinates(known) for known in history]) - coordinates(asked)
    return bool(np.sqrt((apart_N3**2).sum(axis=1)).min() <= SUPPORTED_DISTANCE)


def _sides(profile: Profile) -> tuple[int, int]:
    width, height = max(profile.median_width, 1), max(profile.median_height, 1)
    return max(width, height), min(width, height)
