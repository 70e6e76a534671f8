"""The cost of each start at each image size, and the starts that lead for their cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from recommender.checkpoints.scratch import scratch_architecture
from recommender.costs.devices import device, latency
from recommender.costs.image_sizes import operations, operations_of
from recommender.costs.training_memory import training_memory_mb
from recommender.costs.training_time import USUAL_FLOPS_B, Speed, TrainingWork
from recommender.forecast.situation import Situation
from recommender.records import Checkpoint, Cost, Profile, Recipe
from recommender.requests import RecommendRequest
from recommender.tasks import Task

BATCH = Recipe.batch  # images a step, unless asked otherwise
USUAL_PARAMETERS = 2_600_000  # YOLO11n, where no checkpoint tells
BYTES_PER_PARAMETER = 2.1  # of the published files, in half precision


def costs_of(
    request: RecommendRequest, profile: Profile, situations: Sequence[Situation], speed: Speed | None
) -> Callable[[Situation], Cost]:
    """The function from a situation to its cost. Raises UsageError for a device that nobody measured."""
    on = device(request.device) if request.device else None
    scratch = usual_architecture(situations, profile.task)

    def cost(situation: Situation) -> Cost:
        checkpoint, imgsz = situation.checkpoint, situation.budget.imgsz
        architecture = checkpoint.architecture if checkpoint else scratch
        flops = operations(checkpoint) if checkpoint else operations_of(scratch)
        found = None if on is None else latency(on, architecture, flops, imgsz)
        seconds = None if speed is None else speed.seconds(work_of(situation, situations, profile))
        hours = None if seconds is None else seconds / 3600
        return Cost(
            flops_b=None if flops is None else flops * (imgsz / 640) ** 2,
            latency_ms=found.ms if found else None,
            latency_basis=found.basis if found else None,
            memory_mb=found.memory_mb if found else None,
            training_mb=training_memory_mb(architecture, imgsz, BATCH),
            hours=hours,
            money=None if hours is None or request.price is None else hours * request.price,
        )

    return cost


def work_of(
    situation: Situation, situations: Sequence[Situation], profile: Profile, epochs: int | None = None
) -> TrainingWork:
    """The work of training a start, for so many epochs or in full."""
    checkpoint = situation.checkpoint
    scratch = usual_architecture(situations, profile.task) if checkpoint is None else ""
    counts = profile.num_images
    return TrainingWork(
        imgsz=situation.budget.imgsz,
        mode=situation.start.mode,
        num_train_images=counts.train,
        num_val_images=counts.val,
        epochs=epochs or situation.budget.epochs,
        flops_b=(operations(checkpoint) if checkpoint else operations_of(scratch)) or USUAL_FLOPS_B,
    )


def usual_architecture(situations: Sequence[Situation], task: Task = "detect") -> str:
    """The architecture of random weights: the most common among the starts that are here, else among all."""
    every = {s.checkpoint.name: s.checkpoint for s in situations if s.checkpoint}.values()
    return scratch_architecture([one for one in every if one.available] or every, task)


def download_mb(checkpoint: Checkpoint) -> float:
    """About how large the published file is."""
    return round((checkpoint.num_parameters or USUAL_PARAMETERS) * BYTES_PER_PARAMETER / 1e6, 1)


def compared_by(costs: Sequence[Cost]) -> Literal["latency_ms", "hours", "flops_b"]:
    """The cost that starts are compared by, in the table's front and in the picture.

    Latency where a device is named, else hours of the training where a speed is known, else operations.
    """
    if any(cost.latency_ms is not None for cost in costs):
        return "latency_ms"
    return "hours" if any(cost.hours is not None for cost in costs) else "flops_b"


def front(points: Sequence[tuple[float, float | None]]) -> frozenset[int]:
    """The Pareto front: which (score, cost) no other matches for as little. Unknown costs are never on it."""
    known = sorted((cost, -score, i) for i, (score, cost) in enumerate(points) if cost is not None)
    leading, best = set(), float("-inf")
    for _, negative, i in known:
        if -negative > best:
            best = -negative
            leading.add(i)
    return frozenset(leading)
