"""The image size at which each start would be trained: the smallest within the limits that loses hardly anything."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from recommender.checkpoints import catalogue
from recommender.costs.training_time import GFLOPS_PER_MILLION_PARAMETERS
from recommender.errors import UsageError
from recommender.forecast.budget import MOST_ENLARGED
from recommender.forecast.gaussian_process import posterior
from recommender.forecast.kernels import PriorScales
from recommender.forecast.situation import Observation, Situation
from recommender.records import Checkpoint, Cost, Profile, Start
from recommender.requests import RecommendRequest
from recommender.text import rounded_up

SIZES = (320, 480, 640, 960, 1280)  # pixels
# On the model's scale: what a larger size must bring; half of what another seed moves a result by.
WORTH = 0.01

CostOf = Callable[[Situation], Cost]


@dataclass(frozen=True, kw_only=True)
class SizeForecast:
    """A start at one image size."""

    situation: Situation
    gain: float  # against the first size, on the model's scale
    cost: Cost
    allowed: bool


@dataclass(frozen=True, kw_only=True)
class SizeChoice:
    """The situation chosen for every start that keeps to the limits, and all that was looked at."""

    situations: tuple[Situation, ...]
    options: Mapping[Start, tuple[SizeForecast, ...]]
    left_out: tuple[Start, ...]  # that keep to the limits at no size


def sizes_for(request: RecommendRequest, profile: Profile) -> tuple[int, ...]:
    """The image sizes to look at: the one given, or those at which the images still show something new."""
    if not request.chooses_size:
        return (request.imgsz,)
    longer = max(profile.median_width, profile.median_height)
    most = MOST_ENLARGED * longer if longer > 1 else max(SIZES)
    count = next((i + 1 for i, size in enumerate(SIZES) if size >= most), len(SIZES))
    return SIZES[:count]


def choose_sizes(
    situations: Sequence[Situation],
    sizes: Sequence[int],
    history: Sequence[Observation],
    scales: PriorScales,
    *,
    request: RecommendRequest,
    cost_of: CostOf,
) -> SizeChoice:
    """Take for every start the smallest image size within the limits that loses less than `WORTH` to the best there.

    Raises UsageError where nothing keeps to the limits, with the least that would do. Random weights always stay,
    since gains are measured against them.
    """
    gains = _gains(situations, sizes, history, scales)
    options: dict[Start, tuple[SizeForecast, ...]] = {}
    chosen, left_out = [], []
    for situation in situations:
        found = tuple(_option(situation, size, gains[size], request, cost_of) for size in sizes)
        options[situation.start] = found
        allowed = [option for option in found if option.allowed]
        if not allowed and situation.checkpoint is not None:
            left_out.append(situation.start)
            continue
        usable = allowed or list(found[:1])
        most = max(option.gain for option in usable)
        chosen.append(next(option for option in usable if option.gain > most - WORTH).situation)
    scratch_alone = all(situation.checkpoint is None for situation in chosen)
    kept = any(option.allowed for one in chosen for option in options[one.start])
    if scratch_alone and (left_out or not kept):
        raise _nothing_fits([option for found in options.values() for option in found], request)
    return SizeChoice(situations=tuple(chosen), options=options, left_out=tuple(left_out))


def operations(checkpoint: Checkpoint) -> float | None:
    """10^9 operations for one image of 640 × 640 pixels, by the architecture, else roughly by the parameters."""
    if checkpoint.flops_b is not None:
        return checkpoint.flops_b
    known = operations_of(checkpoint.architecture)
    if known is None and checkpoint.num_parameters:
        return checkpoint.num_parameters / 1e6 * GFLOPS_PER_MILLION_PARAMETERS
    return known


def operations_of(architecture: str) -> float | None:
    """10^9 operations at 640 pixels of an architecture of the catalogue; None for others."""
    return known_operations().get(architecture)


@functools.cache
def known_operations() -> Mapping[str, float]:
    """10^9 operations at 640 pixels of every architecture of the catalogue, by its name."""
    return {entry.architecture: entry.flops_b for entry in catalogue() if entry.flops_b}


def _gains(
    situations: Sequence[Situation],
    sizes: Sequence[int],
    history: Sequence[Observation],
    scales: PriorScales,
) -> dict[int, float]:
    """The gain of each size over the first, as the forecast sees it for one start: sizes move all of a target alike."""
    if len(sizes) == 1:
        return {sizes[0]: 0.0}
    here = [s for s in situations if s.checkpoint is not None and s.checkpoint.available]
    one = next(iter(here or situations))
    asked = [replace(one, budget=replace(one.budget, imgsz=size)) for size in sizes]
    mean_N = posterior(history, asked, scales).mean_N
    return {size: float(mean - mean_N[0]) for size, mean in zip(sizes, mean_N, strict=True)}


def _option(
    situation: Situation, size: int, gain: float, request: RecommendRequest, cost_of: CostOf
) -> SizeForecast:
    asked = replace(situation, budget=replace(situation.budget, imgsz=size))
    cost = cost_of(asked)
    allowed = all(value is not None and value <= limit for value, limit, _ in _limits(request, cost))
    return SizeForecast(situation=asked, gain=gain, cost=cost, allowed=allowed)


def _limits(request: RecommendRequest, cost: Cost) -> list[tuple[float | None, float, str]]:
    """The cost, the limit asked for and its option, for every limit there is."""
    rows = (
        (cost.latency_ms, request.max_latency, "--max-latency {}ms"),
        (cost.memory_mb, request.max_memory, "--max-memory {}MB"),
        (cost.flops_b, request.max_flops, "--max-flops {}G"),
        (cost.hours, request.max_hours, "--max-hours {}"),
        (cost.money, request.max_cost, "--max-cost {}"),
    )
    return [(value, limit, option) for value, limit, option in rows if limit is not None]


def limits_in_words(request: RecommendRequest) -> tuple[str, ...]:
    """The limits as asked for."""
    on = f" on {request.device}"
    rows = (
        (request.max_latency, f"{{:g}} ms an image{on}"),
        (request.max_memory, f"{{:g}} MB of memory{on}"),
        (request.max_flops, "{:g} · 10⁹ operations an image"),
        (request.max_params, "{:,} parameters"),
        (request.max_hours, "{:.3g} h of training"),
        (request.max_cost, "{:g} for the training"),
    )
    return tuple(words.format(value) for value, words in rows if value is not None)


def _nothing_fits(options: Sequence[SizeForecast], request: RecommendRequest) -> UsageError:
    """The error for limits that exclude everything: the start that comes nearest, and what it would need."""

    def excess(option: SizeForecast) -> float:
        ratios = [
            math.inf if value is None else value / limit for value, limit, _ in _limits(request, option.cost)
        ]
        return max(ratios, default=math.inf)

    pretrained = [one for one in options if one.situation.checkpoint is not None] or options
    # Of equals one made for the task, not a detector that would become a classifier.
    nearest = min(pretrained, key=lambda one: (excess(one), not _of_its_task(one.situation)))
    asked = " and ".join(limits_in_words(request))
    broken = [
        (value, option)
        for value, limit, option in _limits(request, nearest.cost)
        if value is None or value > limit
    ]
    unknown = [option.split()[0] for value, option in broken if value is None]
    if unknown:
        return UsageError(
            f"{', '.join(unknown)} cannot be kept to: what the starts take there is not known.",
            remedy=_where_known(unknown),
        )
    least = " ".join(option.format(rounded_up(value)) for value, option in broken if value is not None)
    situation = nearest.situation
    return UsageError(
        f"No start keeps to {asked}: the nearest is {situation.start} at {situation.budget.imgsz} px.",
        remedy=f"Ask for {least} or more"
        + ("." if request.chooses_size else f", or for smaller images than --imgsz {request.imgsz}."),
    )


def _of_its_task(situation: Situation) -> bool:
    return situation.checkpoint is not None and situation.checkpoint.task == situation.target.task


def _where_known(unknown: Sequence[str]) -> str:
    if "--max-memory" in unknown:
        return "Memory is known of rpi5 and jetson-orin, up to 640 px; `recommend devices` lists what is measured."
    if "--max-latency" in unknown:
        return "Name another --device; `recommend devices` lists what is measured."
    return (
        "Name the GPU that will train, --gpu t4, or run `recommend calibrate`: no training long enough to tell was "
        "timed here yet."
    )
