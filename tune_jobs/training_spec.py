"""A full training as asked for and as kept: all resolved, so that it can be rerun from this alone.

Attempts on the nodes read it: importing this loads neither the store nor the forecast.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommender.errors import UsageError
from recommender.records import (
    SCRATCH,
    Checkpoint,
    Estimate,
    Job,
    Mode,
    Recipe,
    SplitCounts,
    Start,
    TrainingStep,
)
from recommender.records.checkpoints import MAX_CHECKPOINT_NAME
from recommender.request_digests import request_digests
from recommender.requests import TrainingRequest
from recommender.starts import FreezeDepth, split_start, with_depth
from recommender.tasks import Task
from recommender.text import counted
from recommender.training_recipe import recipe_of

if TYPE_CHECKING:
    from recommender.store import Store

KIND = "training"


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """One full training, pinned: data by content hash, weights by sha256."""

    dataset: str  # path on the machine of the launcher
    dataset_hash: str
    dataset_name: str
    split_seed: int
    start: Start
    architecture: str
    weights_sha256: str | None
    class_names: tuple[str, ...] | None  # of the checkpoint
    source_hash: str | None
    recipe: Recipe
    name: str  # of the checkpoint that comes out
    licence: str | None  # of that checkpoint: its start's; random weights have none
    gpus: int | None
    cpus: int | None  # None: as many as the launcher thinks right
    allow_roots: tuple[str, ...] = ()
    lineage: tuple[TrainingStep, ...] | None = None  # of that checkpoint: its start's and its start
    task: Task = "detect"  # what the data set is read for
    estimate: Estimate | None = None
    dataset_id: str | None = None  # of a service's data set


@dataclass(frozen=True, kw_only=True)
class Target:
    """The data set of a training, as it must be known before its training can be asked for."""

    path: str
    hash: str
    name: str
    task: Task = "detect"
    split_seed: int = 0  # with which it was opened; part of what it is where it has no val split
    num_images: SplitCounts | None = None  # None: how long it takes is not estimated
    id: str | None = None  # of a service's data set


def submit_training(
    store: Store,
    request: TrainingRequest,
    target: Target,
    *,
    key: str,
    cluster: str,
    owner: str = "",
    formerly: TrainingRequest | None = None,
) -> tuple[Job, bool]:
    """Ask for a full training; returns its job and whether it is new. One short transaction, no cluster involved.

    The same owner and key give the same job; `formerly` is what earlier versions made of the same question. Raises
    UsageError for a start that makes no sense or a key used for another request, NotFoundError for a checkpoint nobody
    knows, ConflictError for a name that is taken.
    """
    from recommender.store.records_json import encode

    digests = request_digests(request, target.hash)
    if formerly is not None:
        digests += request_digests(formerly, target.hash)
    known = store.jobs.find(owner=owner, key=key)
    spec = "" if known else encode(plan_training(store, request, target, suffix=digests[0][:6]))
    return store.jobs.create(
        kind=KIND, owner=owner, key=key, body_digests=digests, cluster=cluster, spec=spec or "{}"
    )


def plan_training(store: Store, request: TrainingRequest, target: Target, *, suffix: str) -> TrainingSpec:
    """Resolve a request. Raises as `submit_training`."""
    from recommender.checkpoints.lineage import ancestry

    if request.gpus and request.batch % request.gpus:
        raise UsageError(
            f"A batch of {request.batch} cannot be shared by {counted(request.gpus, 'GPU')}.",
            remedy=f"Choose a batch that is a multiple of {request.gpus}.",
        )
    start, checkpoint = _asked_start(store, request, target.task)
    architecture = (
        checkpoint.architecture
        if checkpoint
        else _scratch_architecture(store, request.architecture, target.task)
    )
    return TrainingSpec(
        dataset=target.path,
        dataset_hash=target.hash,
        dataset_name=target.name,
        split_seed=target.split_seed,
        start=start,
        architecture=architecture,
        weights_sha256=checkpoint.sha256 if checkpoint else None,
        class_names=checkpoint.class_names if checkpoint else None,
        source_hash=checkpoint.source_hash if checkpoint else None,
        recipe=recipe_of(request),
        name=_result_name(store, request.name, f"{target.name}-{architecture}-{suffix}"),
        licence=checkpoint.licence if checkpoint else None,
        gpus=request.gpus,
        cpus=request.cpus,
        allow_roots=request.allow_roots,
        lineage=ancestry(checkpoint, "run") if checkpoint else (),
        task=target.task,
        estimate=_estimate(store, target, start, architecture, request),
        dataset_id=target.id,
    )


def _asked_start(store: Store, request: TrainingRequest, task: Task) -> tuple[Start, Checkpoint | None]:
    """The start with its checkpoint. Raises UsageError where none is named, or the architecture contradicts it."""
    if request.start is None:
        raise UsageError(
            "The training has no start.", remedy="Name one, such as coco:full, or take the first advised."
        )
    start, checkpoint = resolve_start(store, *with_depth(request.start, request.freeze), task=task)
    if checkpoint is not None and request.architecture not in (None, checkpoint.architecture):
        raise UsageError(
            f"Checkpoint {checkpoint.name!r} is a {checkpoint.architecture}, not a {request.architecture}.",
            remedy="Leave the architecture out; it is for scratch.",
        )
    return start, checkpoint


def _estimate(
    store: Store, target: Target, start: Start, architecture: str, request: TrainingRequest
) -> Estimate | None:
    if target.num_images is None:
        return None
    from recommender.costs.estimates import estimate_training, operations_at, speed_here

    return estimate_training(
        speed_here(store, target.task, gpus=request.gpus),
        architecture=architecture,
        mode=start.mode,
        recipe=recipe_of(request),
        num_images=target.num_images,
        flops_b=operations_at(store, architecture, start),
        gpus=request.gpus or 1,
    )


def _scratch_architecture(store: Store, asked: str | None, task: Task) -> str:
    """The architecture that random weights train: the one asked for, else that of an answer of this store."""
    from recommender.checkpoints import that_fit
    from recommender.checkpoints.scratch import checkpoints_at_hand, scratch_architecture

    return scratch_architecture(that_fit(checkpoints_at_hand(store), task), task, asked=asked)


def resolve_start(
    store: Store, text: str, depth: FreezeDepth | None = None, *, task: Task = "detect"
) -> tuple[Start, Checkpoint | None]:
    """Read "NAME:MODE", "NAME" (mode full) or "scratch", and find the checkpoint as it fits the task.

    `depth` is what is frozen, where it is not the mode's own. Raises NotFoundError for a name nobody knows, UsageError
    for a mode that does not fit, or for layers to be frozen that the weights do not fill.
    """
    from recommender.checkpoints import get_checkpoint, require_for_task, require_freezable

    name, mode = parse_start(text)
    if mode == "scratch":
        return Start(checkpoint=SCRATCH, mode="scratch"), None
    checkpoint = require_for_task(get_checkpoint(store, name), task)
    if not checkpoint.available:
        raise UsageError(
            f"The weights of {checkpoint.name!r} are not on this machine.",
            remedy=f"`recommend checkpoints fetch {checkpoint.name}` brings them.",
        )
    require_freezable(checkpoint, mode, depth)
    return Start(checkpoint=checkpoint.name, mode=mode), checkpoint


def parse_start(text: str) -> tuple[str, Mode]:
    """Split "NAME:MODE"; a name alone is trained in full. Raises UsageError as `split_start`."""
    name, mode = split_start(text)
    if not name:
        raise UsageError("No start is named.", remedy="Write CHECKPOINT:full, CHECKPOINT:freeze or scratch.")
    return name, mode or "full"


def _result_name(store: Store, asked: str | None, default: str) -> str:
    from recommender.checkpoints import check_name

    if asked is None:
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", default).strip("-.")
        return safe[-MAX_CHECKPOINT_NAME:].lstrip("-._") or "trained"
    check_name(store, asked)
    return asked
