"""Plans the trials of a sweep: which start on which data set with which recipe."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from recommender.errors import NotFoundError, UsageError
from recommender.recipe_axes import recipes_along
from recommender.records import MODES, SCRATCH, Checkpoint, Dataset, Notice, Recipe, Start
from recommender.requests import SweepRequest, at_usual_size
from recommender.store import Store
from recommender.tasks import Task
from recommender.text import printable
from tune_jobs.artefact_transfer import Artefact, pack_dataset, pack_weights
from tune_jobs.sweep.trial_spec import TrialSpec
from tune_jobs.training import TrainingJob


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """The trials of a sweep, and what was left out of it."""

    specs: tuple[TrialSpec, ...]
    notices: tuple[Notice, ...]


def plan_trial(
    target: Dataset,
    data: Artefact,
    start: Start,
    checkpoint: Checkpoint | None,
    recipe: Recipe,
    *,
    architecture: str,
    keep: bool = False,
) -> TrialSpec:
    """One start on one target. `architecture` is for scratch only: a checkpoint brings its own.

    `keep` brings the best weights back to the driver, to `tune_jobs.sweep.trained`.

    Raises NotFoundError when the weights are not on this machine, IntegrityError when they changed.
    """
    weights = None if checkpoint is None else _weights_of(checkpoint)
    job = TrainingJob(
        data=data.source,
        output=Path(),  # of the node that trains
        start=start,
        architecture=architecture if checkpoint is None else checkpoint.architecture,
        recipe=recipe,
        kind="trial",
        keep=keep,
        target_hash=target.content_hash,
        target_name=target.name,
        weights=None if weights is None else weights.source,
        weights_sha256=None if weights is None else weights.sha256,
        class_names=None if checkpoint is None else checkpoint.class_names,
        source_hash=None if checkpoint is None else checkpoint.source_hash,
    )
    job.check()
    return TrialSpec(job=job, data=data, weights=weights, num_images=target.num_images)


def can_be_frozen(checkpoint: Checkpoint | None, start: Start, recipe: Recipe) -> bool:
    """False where another depth than the mode's own would keep layers at random values that the weights do not fill."""
    from recommender.checkpoints import require_freezable

    if checkpoint is None or recipe.freeze is None:
        return True
    try:
        require_freezable(checkpoint, start.mode, recipe.freeze)
    except UsageError:
        return False
    return True


def plan_sweep(request: SweepRequest, targets: Sequence[Dataset], store: Store) -> SweepPlan:
    """Every start on every target, at every fraction and seed, and at every rate and depth of the axes.

    A checkpoint is not tried on the data set it was trained on: that would say nothing. Cheap first: the first
    seed of every start on a target before its second one.
    """
    from recommender.checkpoints.scratch import scratch_architecture

    chosen = chosen_checkpoints(request, store)
    specs: list[TrialSpec] = []
    notices: list[Notice] = []
    for target in {target.content_hash: target for target in targets}.values():
        data = pack_dataset(target)
        checkpoints = _fitted(chosen, target.task, named=bool(request.checkpoints))
        architecture = scratch_architecture(checkpoints, target.task, asked=request.architecture)
        partial = _not_freezable(checkpoints) if "freeze" in request.modes else {}
        notices += [Notice(code="not_freezable", message=why) for why in partial.values()]
        starts = _starts(request, checkpoints, partial)
        own = sorted({c.name for c in checkpoints if c.source_hash == target.content_hash})
        if own:
            notices.append(_left_out(target, own))
        specs += [
            plan_trial(target, data, start, checkpoint, one, architecture=architecture)
            for recipe in recipes_of(at_usual_size(request, target.task))
            for start, checkpoint in starts
            if checkpoint is None or checkpoint.name not in own
            for one in recipes_along(
                recipe, start.mode, checkpoint.architecture if checkpoint else architecture, request.axes
            )
            if can_be_frozen(checkpoint, start, one)
        ]
    if not specs:
        raise UsageError(
            "Nothing is left to try: no start fits the modes asked for.",
            remedy="Add scratch to --modes, or a checkpoint of other data.",
        )
    return SweepPlan(specs=tuple(specs), notices=tuple(dict.fromkeys(notices)))


def _starts(
    request: SweepRequest, checkpoints: Sequence[Checkpoint], partial: Collection[str]
) -> list[tuple[Start, Checkpoint | None]]:
    """Every checkpoint in every mode asked for, but frozen those named in `partial`; and scratch."""
    starts: list[tuple[Start, Checkpoint | None]] = [
        (Start(checkpoint=checkpoint.name, mode=mode), checkpoint)
        for mode in MODES
        if mode in request.modes and mode != "scratch"
        for checkpoint in checkpoints
        if mode != "freeze" or checkpoint.name not in partial
    ]
    if "scratch" in request.modes:
        starts.append((Start(checkpoint=SCRATCH, mode="scratch"), None))
    return starts


def _fitted(chosen: Sequence[Checkpoint], task: Task, *, named: bool) -> tuple[Checkpoint, ...]:
    """The checkpoints as they fit a data set's task. Raises UsageError for one that was named and does not."""
    from recommender.checkpoints import require_for_task, that_fit

    return tuple(require_for_task(one, task) for one in chosen) if named else that_fit(chosen, task)


def recipes_of(request: SweepRequest) -> tuple[Recipe, ...]:
    """One recipe for each fraction and seed, the larger fractions first."""
    return tuple(
        Recipe(
            epochs=request.epochs,
            imgsz=request.imgsz,
            batch=request.batch,
            optimizer=request.optimizer,
            learning_rate=request.learning_rate,
            patience=request.patience or None,
            fraction=fraction,
            seed=seed,
        )
        for seed in request.seeds
        for fraction in sorted(request.fractions, reverse=True)
    )


def chosen_checkpoints(request: SweepRequest, store: Store) -> tuple[Checkpoint, ...]:
    """The checkpoints named, else all on this machine. Raises NotFoundError for a name that is unknown or not here."""
    from recommender.checkpoints import get_checkpoint
    from recommender.checkpoints.scratch import checkpoints_at_hand

    if request.checkpoints:
        named = [get_checkpoint(store, name) for name in request.checkpoints if name != SCRATCH]
        for checkpoint in named:
            _require_here(checkpoint)
        return tuple(named)
    limit = request.max_params
    return tuple(
        checkpoint
        for checkpoint in checkpoints_at_hand(store)
        if limit is None or (checkpoint.num_parameters or 0) <= limit
    )


def _weights_of(checkpoint: Checkpoint) -> Artefact:
    return pack_weights(_require_here(checkpoint), sha256=checkpoint.sha256)


def _require_here(checkpoint: Checkpoint) -> Path:
    if checkpoint.path is None:
        raise NotFoundError(
            f"The weights of '{printable(checkpoint.name)}' are not on this machine.",
            remedy=f"`recommend checkpoints fetch {printable(checkpoint.name)}` brings them.",
        )
    return checkpoint.path


def _not_freezable(checkpoints: Sequence[Checkpoint]) -> dict[str, str]:
    """The reason why the backbone cannot be frozen, by the names of those that do not fill theirs."""
    from recommender.checkpoints import require_freezable

    found = {}
    for checkpoint in checkpoints:
        try:
            require_freezable(checkpoint)
        except UsageError as error:
            found[checkpoint.name] = f"{error.message} Left out."
    return found


def _left_out(target: Dataset, names: Sequence[str]) -> Notice:
    shown = ", ".join(printable(name) for name in names)
    return Notice(
        code="trained_on_target",
        message=f"{shown}: trained on {printable(target.name)} itself, so left out there.",
    )
