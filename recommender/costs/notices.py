"""Notices about the costs of the first start: what is cheaper, larger, to be fetched, estimated, or too large."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from recommender.costs.gpus import gpu_memory_mb
from recommender.costs.image_sizes import limits_in_words
from recommender.costs.start_costs import BATCH
from recommender.costs.training_memory import FRAMEWORK_MB, largest_batch
from recommender.forecast.rules import trained_on_target
from recommender.records import SCRATCH, Cost, Dataset, Notice, Profile, RankedStart, Start
from recommender.requests import RecommendRequest
from recommender.tasks import Task, task_definition
from recommender.text import counted, printable, two_figures

NEARLY = 0.02  # of the task's metric: what a cheaper start may lose to be named beside the first
LARGER = 2.0  # times the first's operations from which on a start is larger
CHEAPER = 0.5  # share of the first's operations below which a start is cheaper
TINY, SMALL = 8, 16  # pixels
MANY = 0.25  # share of objects below `TINY` pixels from which on tiling is worth a thought
TILED = 640  # pixels: images scaled to less are better scaled to more first


def left_out_notes(left_out: Sequence[Start], request: RecommendRequest) -> tuple[Notice, ...]:
    """The number of starts that the limits exclude."""
    if not left_out:
        return ()
    do = "does it" if len(left_out) == 1 else "do they"  # a checkpoint's other mode may be in
    return (
        Notice(
            code="beyond_limits",
            message=f"Left out: {counted(len(left_out), 'start')}. At no image size looked at {do} keep to "
            f"{' and '.join(limits_in_words(request))}.",
        ),
    )


def cost_notes(
    rows: Sequence[RankedStart],
    target: Dataset,
    profile: Profile,
    *,
    hours_on: str | None,
    ranked: Sequence[RankedStart] = (),
    limits: Sequence[str] = (),
    gpu: str | None = None,
    scratch: str = "",
    omitted: Sequence[Cost] = (),
) -> tuple[Notice, ...]:
    """Notices on a cheaper and a larger start, the source of the costs, and the image size for small objects.

    `rows` are the shown ones, `ranked` all. `hours_on` is what the hours are of, in words;
    `limits` are those asked for, in words, and `gpu` its name; `scratch` is the architecture that random weights take,
    and `omitted` are the starts left out of the ranking.
    """
    first = rows[0]
    found = (
        _to_fetch(first),
        _cheaper(first, rows),
        _larger(first, ranked, limits, omitted),
        _other_tables(ranked, target.task, limits),
        _estimated(first, hours_on),
        _too_large(first, gpu, scratch),
        _sizes(first, target, profile),
    )
    return tuple(notice for notice in found if notice is not None)


def _to_fetch(first: RankedStart) -> Notice | None:
    if first.fetch_mb is None:
        return None
    name = printable(first.start.checkpoint)
    return Notice(
        code="to_be_fetched",
        message=f"{name} is not on this machine: about {first.fetch_mb:g} MB are to be fetched first. Its forecast "
        "rests on what is published of it.",
        hint=f"recommend checkpoints fetch {name} fetches it; --here leaves out what is not on this machine.",
    )


def _cheaper(first: RankedStart, rows: Sequence[RankedStart]) -> Notice | None:
    """The cheapest start that loses little, where it costs much less."""
    own = first.flops_b
    near = [
        (row.flops_b, row)
        for row in rows
        if row.flops_b is not None
        and row.start.checkpoint != SCRATCH
        and not trained_on_target(row.evidence)
        and first.score.mean - row.score.mean <= NEARLY
    ]
    if own is None or not near:
        return None
    flops, row = min(near, key=lambda pair: (pair[0], pair[1].rank))
    if flops > CHEAPER * own:
        return None
    return Notice(
        code="cheaper",
        message=f"{printable(row.start)} at {row.imgsz} px is expected to end "
        f"{max(first.score.mean - row.score.mean, 0.0):.3f} lower and needs {flops / own:.0%} of the operations"
        f"{_instead(row, first)}.",
    )


def _larger(
    first: RankedStart, ranked: Sequence[RankedStart], limits: Sequence[str], omitted: Sequence[Cost] = ()
) -> Notice | None:
    """Within limits on the trained model: the best of the starts that make more of them than the first does.

    Without a limit nothing bounds what is larger, and the note on omitted starts names the most promising one.
    """
    own = first.flops_b
    if own is None or not limits or first.latency_ms is None:
        return None
    larger = [
        row
        for row in ranked
        if row.latency_ms is not None
        and row.flops_b is not None
        and row.flops_b >= LARGER * own
        and row.start.checkpoint not in (SCRATCH, first.start.checkpoint)
        and not trained_on_target(row.evidence)
    ]
    if larger:
        return _larger_fits(first, max(larger, key=lambda row: (row.score.mean, -row.rank)))
    if any(one.flops_b is not None and one.flops_b >= LARGER * own for one in omitted):
        return None  # there is room, and the note on omitted starts says why none is ranked
    within = " and ".join(limits)
    return Notice(
        code="larger",
        message=f"{within[0].upper()}{within[1:]} leave no room for a model {LARGER:g} times as large as "
        f"{printable(first.start)} at {first.imgsz} px.",
    )


def _larger_fits(first: RankedStart, best: RankedStart) -> Notice:
    """The notice that `best`, a start of a larger model, keeps to the limits too."""
    gain = best.score.mean - first.score.mean
    fetch = "" if best.fetch_mb is None else f", {best.fetch_mb:.0f} MB to be fetched"
    apart = best.score.low > first.score.mean or best.score.high < first.score.mean
    told_apart = "" if apart else ": not told apart"
    name = printable(best.start.checkpoint)
    return Notice(
        code="larger",
        message=f"A larger model fits too: {printable(best.start)} at {best.imgsz} px{_instead(best, first)}{fetch} "
        f"is expected to end {abs(gain):.3f} {'higher' if gain > 0 else 'lower'}{told_apart}.",
        hint=f"--trials 4 decides it, once `recommend checkpoints fetch {name}` has brought it."
        if best.fetch_mb is not None
        else "--trials 4 decides it.",
    )


def _other_tables(ranked: Sequence[RankedStart], task: Task, limits: Sequence[str]) -> Notice | None:
    """The tables by which starts to be fetched are ranked where none compares models of the task."""
    unfetched = any(row.fetch_mb is not None for row in ranked)
    if limits and not unfetched and task_definition(task).whole_images:
        return Notice(
            code="larger",
            message="Of classifiers the starts on this machine are ranked; another official one may keep to your "
            "limits too.",
            hint="--all ranks them by their published ImageNet accuracy.",
        )
    said = task_definition(task).other_tables
    return Notice(code="other_tables", message=said) if unfetched and said else None


def _instead(a: Cost, b: Cost) -> str:
    """Latency and hours of the first instead of those of the second, as far as they are known."""
    said = []
    if a.latency_ms is not None and b.latency_ms is not None:
        said.append(f"{a.latency_ms:.3g} ms an image instead of {b.latency_ms:.3g}")
    if a.hours is not None and b.hours is not None:
        said.append(f"{two_figures(a.hours)} h of training instead of {two_figures(b.hours)}")
    return f" ({', '.join(said)})" if said else ""


def _estimated(first: RankedStart, hours_on: str | None) -> Notice | None:
    said = []
    if first.latency_basis not in (None, "measured"):
        said.append(f"its latency is {first.latency_basis}")
    if hours_on is not None:
        said.append(f"hours are those of {printable(hours_on)}")
    if not said:
        return None
    text = "; ".join(said)
    return Notice(code="estimated_cost", message=f"{text[0].upper()}{text[1:]}.")


def _too_large(first: RankedStart, gpu: str | None, scratch: str = "") -> Notice | None:
    """A batch of the usual size that the GPU asked for does not hold, and the one that it does."""
    holds, need = gpu_memory_mb(gpu) if gpu else None, first.training_mb
    if holds is None or need is None or need + FRAMEWORK_MB <= holds:
        return None
    fits = largest_batch(first.architecture or scratch, first.imgsz or TILED, holds)
    remedy = (
        f"a batch of {fits} fits: --batch {fits}."
        if fits
        else "not even one image fits: take a smaller model or size."
    )
    return Notice(
        code="gpu_memory",
        message=f"Training {printable(first.start)} at {first.imgsz} px in batches of {BATCH} takes about "
        f"{math.ceil((need + FRAMEWORK_MB) / 102.4) / 10:g} GB, and {gpu} has {holds / 1024:.0f}; {remedy}",
    )


def _sizes(first: RankedStart, target: Dataset, profile: Profile) -> Notice | None:
    """Objects too small to be seen at the chosen image size, and what the next size would bring."""
    imgsz = first.imgsz or 640
    tiny, small = small_shares(target, imgsz)
    if small < 0.1:
        return None
    said = [
        f"At {imgsz} px {tiny:.0%} of your objects are below {TINY} pixels and {small:.0%} below {SMALL}."
    ]
    larger = next((size for size in first.sizes if size.imgsz > imgsz), None)
    if larger is not None:
        times = (larger.imgsz / imgsz) ** 2
        said.append(
            f"{larger.imgsz} px would be expected to add {max(larger.score - first.score.mean, 0.0):.3f} for "
            f"{times:.1f} times the operations{_instead(larger, first)}"
            + ("." if larger.allowed else ", which is beyond your limits.")
        )
    longer = max(profile.median_width, profile.median_height)
    if tiny >= MANY and larger is None and longer > imgsz and imgsz < TILED:
        said.append("A larger image size keeps them larger.")
    elif tiny >= MANY and longer > 1.5 * imgsz and imgsz >= TILED:
        said.append(
            f"Your images are {longer:,} pixels wide or high: cutting them into tiles of {imgsz} px keeps these "
            f"objects {longer / imgsz:.1f} times as large, for {(longer / imgsz) ** 2:.0f} times the work, and is the "
            "better way."
        )
    elif larger is None and longer <= imgsz:
        said.append("The images hold no more detail than that: only larger originals would help.")
    elif tiny >= MANY and larger is None:
        said.append("Your images hold little more detail than that: only larger originals would help.")
    return Notice(code="small_objects", message=" ".join(said))


def small_shares(target: Dataset, imgsz: int) -> tuple[float, float]:
    """Shares of the objects below `TINY` and `SMALL` pixels when images are scaled to `imgsz`."""
    sides_M = np.concatenate(
        [np.zeros(0)]
        + [
            np.sqrt(image.boxes_M4[:, 2] * image.width * image.boxes_M4[:, 3] * image.height)
            * (imgsz / max(image.width, image.height, 1))
            for image in target.images
            if len(image.boxes_M4)
        ]
    )
    if not len(sides_M):
        return 0.0, 0.0
    return float((sides_M < TINY).mean()), float((sides_M < SMALL).mean())
