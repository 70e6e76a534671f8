"""The starts for a request: checkpoints on this machine, those that were named, COCO and scratch always."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from recommender.candidates.recall import RECALLED, recall
from recommender.checkpoints import (
    catalogue,
    fetch,
    get_checkpoint,
    located,
    require_for_task,
    that_fit,
    zoo,
)
from recommender.errors import UsageError
from recommender.forecast.situation import Situation
from recommender.forecast.warnings import is_permissive
from recommender.profile.known import source_profiles
from recommender.progress import Progress
from recommender.records import SCRATCH, Budget, Checkpoint, Evidence, Mode, Notice, Profile, Start
from recommender.requests import RecommendRequest
from recommender.starts import split_start
from recommender.store import Store
from recommender.tasks import Task, task_definition
from recommender.text import printable

GRAY = "-grayscale"  # how the names of weights for images of one channel end
LEARNED_MODES: tuple[Mode, ...] = ("full", "freeze")


def choose_starts(
    request: RecommendRequest, store: Store, target: Profile, progress: Progress, *, imgsz: int
) -> tuple[tuple[Situation, ...], tuple[Notice, ...]]:
    """The starts in the race at an image size, their evidence still to be gathered, and notices on the choice.

    Every checkpoint in each of its modes, by name, as they fit the target's task, and scratch, which always runs.
    Without names, what is built in or fetched and what `recall` finds among the registered ones. Public checkpoints
    that were never fetched take part by what is known of them in questions about boxes, segmenters where all, a device
    or a limit is asked for, and classifiers where all are; they are fetched where they are named, since that is the
    user's to ask for. Raises NotFoundError for a name nobody knows, UnavailableError for one that cannot be fetched
    (offline), and UsageError where all of them are larger than asked for.
    """
    reference = task_definition(target.task).reference
    named = _modes_of((*request.checkpoints, reference), store) if request.checkpoints else {}
    chosen = _chosen(request, store, target, named, progress)
    _require_some_small_enough(chosen, request)
    if SCRATCH in request.without:
        raise UsageError(
            "scratch cannot be left out: what pretraining gains is measured against it.",
            remedy="Leave out NAME or NAME:MODE.",
        )
    unwanted = _modes_of(request.without, store)
    sources = source_profiles({c.source_hash for c in chosen if c.source_hash}, store)
    unique = {checkpoint.name: checkpoint for checkpoint in chosen if _allowed(checkpoint, request)}
    modes = {
        name: {*named.get(name, LEARNED_MODES)} & {*request.modes} - {*unwanted.get(name, ())}
        for name in unique
    }
    files = _by_file([unique[name] for name in sorted(unique) if modes[name]], sources)
    starts: list[tuple[Start, Checkpoint | None]] = [
        (Start(checkpoint=names[0].name, mode=mode), names[0])
        for names in files
        for mode in LEARNED_MODES
        if any(mode in modes[one.name] for one in names)
    ]
    situations = tuple(
        Situation(
            target=target,
            num_train_images=target.num_images.train,
            budget=Budget(epochs=request.epochs, imgsz=imgsz),
            start=start,
            checkpoint=checkpoint,
            source=sources.get(checkpoint.source_hash or "") if checkpoint else None,
            evidence=Evidence(),
        )
        for start, checkpoint in (*starts, (Start(checkpoint=SCRATCH, mode="scratch"), None))
    )
    return situations, (*_recall_notes(request, store, files), *_same_weights_notes(files))


def _chosen(
    request: RecommendRequest,
    store: Store,
    target: Profile,
    named: Collection[str],
    progress: Progress,
) -> list[Checkpoint]:
    """The checkpoints named, at hand, or those that take part where none is."""
    if request.checkpoints:
        known = [get_checkpoint(store, name) for name in named]
        for one in known:
            require_for_task(one, target.task)  # before anything is fetched
        return [require_for_task(_at_hand(one, request, progress), target.task) for one in known]
    budget = Budget(epochs=request.epochs, imgsz=request.imgsz)
    task = task_definition(target.task)
    # Tables of detectors speak for segmenters on the same networks; of classifiers nothing does.
    compared = task.sizes_compared or (request.chooses and not task.whole_images)
    fetchable = (compared or request.everything) and not (request.here or request.offline)
    public = public_checkpoints(fetchable=target.task if fetchable else None)

    def allowed(one: Checkpoint) -> bool:
        return _allowed(one, request) and bool(that_fit((one,), target.task))

    registered = recall(store, target, budget, locate=located, allowed=allowed)
    return list(that_fit((*public, *registered), target.task))


def public_checkpoints(*, fetchable: Task | None) -> list[Checkpoint]:
    """The public checkpoints that take part unasked: those here, and of the catalogue those of the task `fetchable`.

    Weights for gray images take part only where they are here: their first layer has one channel, ours has three.
    """
    known = (*zoo(), *catalogue())
    return [c for c in known if c.available or (c.task == fetchable and not c.name.endswith(GRAY))]


def _recall_notes(
    request: RecommendRequest, store: Store, files: Sequence[Sequence[Checkpoint]]
) -> tuple[Notice, ...]:
    """A notice on registered checkpoints that were not all ranked."""
    registered = store.checkpoints.count()
    if request.checkpoints or registered <= RECALLED:
        return ()
    ranked = sum(len(names) for names in files if names[0].origin == "registry")
    return (
        Notice(
            code="recalled",
            message=f"{ranked} of {registered:,} registered checkpoints are ranked: those with the most similar "
            "training data, the best past runs on similar data sets, and the best by the rules of the forecast.",
            hint="`--checkpoint NAME` ranks others.",
        ),
    )


def _same_weights_notes(files: Sequence[Sequence[Checkpoint]]) -> tuple[Notice, ...]:
    """Notices on names that were taken together because their files are the same."""
    return tuple(
        Notice(
            code="same_weights",
            message=f"{printable(', '.join(one.name for one in others))}: the same file as {printable(first.name)}, "
            "so both are one row.",
        )
        for first, *others in files
        if others
    )


def _by_file(checkpoints: Sequence[Checkpoint], sources: Mapping[str, Profile]) -> list[list[Checkpoint]]:
    """Checkpoints with equal files taken together, first the name whose training data are known, best by its makers."""
    groups: dict[str, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        groups.setdefault(checkpoint.sha256 or checkpoint.name, []).append(checkpoint)
    return [
        sorted(
            group,
            key=lambda one: (
                one.source_hash not in sources,
                one.source_hash is None,
                one.origin == "registry",
            ),
        )
        for group in groups.values()
    ]


def with_paths_registered(request: RecommendRequest, store: Store) -> RecommendRequest:
    """The request with weights files among its checkpoints replaced by the names they are registered under.

    For the command line and Python only: the service takes names, since a path in a request body would let a caller
    read any file of the machine. Raises InputError for a file that cannot be used.
    """
    names = tuple(_registered(text, store, keep=request.keep) for text in request.checkpoints)
    return request.model_copy(update={"checkpoints": names})


def _registered(text: str, store: Store, *, keep: bool) -> str:
    """The start with a weights file replaced by the name it is registered under; names are checked."""
    name, mode = (text, None) if Path(text).is_file() else split_start(text)
    if name == SCRATCH:
        return text
    found = get_checkpoint(store, name, allow_paths=True, keep=keep).name
    return f"{found}:{mode}" if mode else found


def _modes_of(starts: Sequence[str], store: Store) -> dict[str, tuple[Mode, ...]]:
    """The modes named for each checkpoint; all where it is named without one."""
    found: dict[str, tuple[Mode, ...]] = {}
    for text in starts:
        name, mode = split_start(text)
        if name != SCRATCH:
            name = get_checkpoint(store, name).name
            found[name] = (*found.get(name, ()), *((mode,) if mode else LEARNED_MODES))
    return {name: tuple(mode for mode in LEARNED_MODES if mode in modes) for name, modes in found.items()}


def _require_some_small_enough(chosen: Sequence[Checkpoint], request: RecommendRequest) -> None:
    """Scratch has the size of the others: where none may run, it may not either."""
    sizes = [checkpoint.num_parameters for checkpoint in chosen if checkpoint.num_parameters is not None]
    if request.max_params is not None and sizes and min(sizes) > request.max_params:
        raise UsageError(
            f"No start has {request.max_params:,} parameters or fewer; the smallest has {min(sizes):,}.",
            remedy=f"Ask for --max-params {math.ceil(min(sizes) / 1e5) / 10}M or more.",
        )


def _at_hand(checkpoint: Checkpoint, request: RecommendRequest, progress: Progress) -> Checkpoint:
    if checkpoint.available or request.offline:
        return checkpoint
    return fetch(checkpoint, progress=progress)


def _allowed(checkpoint: Checkpoint, request: RecommendRequest) -> bool:
    size = checkpoint.num_parameters
    if request.max_params is not None and (size is None or size > request.max_params):
        return False
    return request.licence == "any" or is_permissive(checkpoint)
