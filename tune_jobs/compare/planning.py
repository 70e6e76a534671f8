"""Plans the trainings of a comparison: starts, recipes, and which of them come first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recommender.errors import NotFoundError, UsageError
from recommender.records import SCRATCH, Checkpoint, Dataset, Recipe, Split, Start
from recommender.requests import CompareRequest
from recommender.store import Store
from recommender.tasks import Task, task_definition
from recommender.text import printable
from tune_jobs.artefact_transfer import pack_dataset
from tune_jobs.sweep.planning import plan_trial
from tune_jobs.sweep.trial_spec import TrialSpec
from tune_jobs.training.run import SMALL_BATCH
from tune_jobs.training_spec import parse_start

MULTI_SCALE = 0.5  # of `imgsz`, up and down: the range that YOLO's authors train with


@dataclass(frozen=True, kw_only=True)
class ComparisonEntry:
    """A start that takes part, with its weights found."""

    start: Start
    checkpoint: Checkpoint | None  # None for random weights
    architecture: str


def entries_of(request: CompareRequest, store: Store, task: Task) -> tuple[ComparisonEntry, ...]:
    """The starts asked for, each once, files registered and named, as they fit the task.

    Raises NotFoundError for a name nobody knows or weights that are not here, InputError for a file that is no
    safe checkpoint, UsageError for a mode that does not fit, an architecture of another task, or to
    freeze a backbone that the weights do not fill.
    """
    from recommender.checkpoints.scratch import scratch_architecture

    asked = request.starts or default_starts(task)
    found = {start: checkpoint for text in asked for start, checkpoint in (_resolved(text, store, task),)}
    rivals = [checkpoint for checkpoint in found.values() if checkpoint is not None]
    scratch = scratch_architecture(rivals, task, asked=request.architecture)
    return tuple(
        ComparisonEntry(
            start=start,
            checkpoint=checkpoint,
            architecture=scratch if checkpoint is None else checkpoint.architecture,
        )
        for start, checkpoint in found.items()
    )


def default_starts(task: Task) -> tuple[str, ...]:
    """Random weights, and where everybody starts, in both modes."""
    reference = task_definition(task).reference
    return (SCRATCH, f"{reference}:full", f"{reference}:freeze")


def held_out_split(request: CompareRequest, target: Dataset) -> Split:
    """The split that scores the trained models. Raises UsageError where the one asked for has no labelled images.

    Test images are often given without labels: all that is found on them would count as wrong.
    """
    held_out = target.of_split("test")
    if request.test != "val" and any(len(image.classes_M) for image in held_out):
        return "test"
    if request.test == "test":
        lacks = "no labels on its test images" if held_out else "no test split"
        raise UsageError(
            f"--test test: {printable(target.name)} has {lacks}.",
            remedy="Give it some, or say --test val: those images also choose the best epoch.",
        )
    return "val"


def plan_runs(
    request: CompareRequest, target: Dataset, entries: Sequence[ComparisonEntry]
) -> tuple[tuple[TrialSpec, ...], ...]:
    """The trainings in two parts: those that try every learning rate, then the rest at every rate.

    The first part has one seed at the largest fraction; of the rest only those at a start's best rate are run.
    With a single rate the first part is empty. Cheap first within a part: the first seed of every start.
    """
    data = pack_dataset(target)
    explored: list[TrialSpec] = []
    rest: list[TrialSpec] = []
    fractions = sorted(request.fractions, reverse=True)
    for seed in request.seeds:
        for fraction in fractions:
            for entry in entries:
                for rate in request.learning_rates:
                    recipe = _recipe(request, entry.start, fraction, seed, rate)
                    spec = plan_trial(
                        target,
                        data,
                        entry.start,
                        entry.checkpoint,
                        recipe,
                        architecture=entry.architecture,
                        keep=True,
                    )
                    first = (
                        seed == request.seeds[0]
                        and fraction == fractions[0]
                        and len(request.learning_rates) > 1
                    )
                    (explored if first else rest).append(spec)
    return tuple(explored), tuple(rest)


def _recipe(request: CompareRequest, start: Start, fraction: float, seed: int, rate: float | str) -> Recipe:
    group = request.normalisation == "group" or (
        request.normalisation == "auto" and request.batch < SMALL_BATCH
    )
    return Recipe(
        epochs=request.epochs,
        imgsz=request.imgsz,
        batch=request.batch,
        optimizer=request.optimizer,
        learning_rate=None if isinstance(rate, str) else rate,
        patience=request.patience or None,
        normalisation="group" if group and start.mode == "scratch" else "batch",
        fraction=fraction,
        seed=seed,
        multi_scale=MULTI_SCALE if request.multi_scale else 0.0,
    )


def _resolved(text: str, store: Store, task: Task) -> tuple[Start, Checkpoint | None]:
    from recommender.checkpoints import get_checkpoint, require_for_task, require_freezable

    name, mode = (text, "full") if Path(text).is_file() else parse_start(text)
    if mode == "scratch":
        return Start(checkpoint=SCRATCH, mode="scratch"), None
    checkpoint = require_for_task(get_checkpoint(store, name, allow_paths=True), task)
    if not checkpoint.available:
        raise NotFoundError(
            f"The weights of '{printable(checkpoint.name)}' are not on this machine.",
            remedy=f"`recommend checkpoints fetch {printable(checkpoint.name)}` brings them.",
        )
    if mode == "freeze":
        require_freezable(checkpoint)
    return Start(checkpoint=checkpoint.name, mode=mode), checkpoint  # type: ignore[arg-type]
