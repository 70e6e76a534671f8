"""The candidates for a request: checkpoints on this machine, those that were named, COCO and scratch always."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

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
from recommender.forecast.warnings import is_permissive
from recommender.profile.known import source_profiles
from recommender.progress import Progress
from recommender.recall import RECALLED, recall
from recommender.records import SCRATCH, Budget, Checkpoint, Mode, Notice, Profile, Start
from recommender.requests import RecommendRequest
from recommender.starts import split_start
from recommender.store import Store
from recommender.tasks import task_definition
from recommender.text import printable

GRAY = "-grayscale"  # how the names of weights for images of one channel end
LEARNED_MODES: tuple[Mode, ...] = ("full", "freeze")


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A checkpoint and what is known of its source data."""

    checkpoint: Checkpoint
    source: Profile | None
    modes: tuple[Mode, ...] = LEARNED_MODES
    also_named: tuple[str, ...] = ()  # other names of the same file


def choose_candidates(
    request: RecommendRequest, store: Store, target: Profile, progress: Progress
) -> tuple[Candidate, ...]:
    """The checkpoints in the race, by name, as they fit the target's task. Scratch is added by `starts_of`.

    Without names, what is built in or fetched and what `recall` finds among the registered ones. Public checkpoints
    that were never fetched take part by what is known of them in questions about boxes; they are fetched where they
    are named, since that is the user's to ask for. Raises NotFoundError for a
    name nobody knows, UnavailableError for one that cannot be fetched (offline), and UsageError where all of them
    are larger than asked for.
    """
    reference = task_definition(target.task).reference
    named = _modes_of((*request.checkpoints, reference), store) if request.checkpoints else {}
    if request.checkpoints:
        known = [get_checkpoint(store, name) for name in named]
        for one in known:
            require_for_task(one, target.task)  # before anything is fetched
        chosen = [require_for_task(_at_hand(one, request, progress), target.task) for one in known]
    else:
        budget = Budget(epochs=request.epochs, imgsz=request.imgsz)
        fetchable = task_definition(target.task).sizes_compared and not (request.here or request.offline)
        public = public_checkpoints(fetchable=fetchable)
        registered = recall(store, target, budget, locate=located, allowed=partial(_allowed, request=request))
        chosen = list(that_fit((*public, *registered), target.task))
    _require_some_small_enough(chosen, request)
    if SCRATCH in request.without:
        raise UsageError(
            "scratch cannot be left out: what pretraining gains is measured against it.",
            remedy="Leave out NAME or NAME:MODE.",
        )
    unwanted = _modes_of(request.without, store)
    sources = source_profiles({c.source_hash for c in chosen if c.source_hash}, store)
    unique = {checkpoint.name: checkpoint for checkpoint in chosen if _allowed(checkpoint, request)}
    candidates = [
        Candidate(
            checkpoint=checkpoint,
            source=sources.get(checkpoint.source_hash or ""),
            modes=tuple(
                mode
                for mode in named.get(name, LEARNED_MODES)
                if mode in request.modes and mode not in unwanted.get(name, ())
            ),
        )
        for name, checkpoint in sorted(unique.items())
    ]
    return _one_per_file([candidate for candidate in candidates if candidate.modes])


def public_checkpoints(*, fetchable: bool) -> list[Checkpoint]:
    """The public checkpoints that take part unasked: those here, and if `fetchable` the others of the catalogue.

    Weights for gray images take part only where they are here: their first layer has one channel, ours has three.
    """
    known = (*zoo(), *catalogue())
    return [c for c in known if c.available or (fetchable and not c.name.endswith(GRAY))]


def choice_notes(
    request: RecommendRequest, store: Store, candidates: Sequence[Candidate]
) -> tuple[Notice, ...]:
    """Notices on the choice of candidates: names of one file, and a shelf that was not ranked whole."""
    return (*_recall_notes(request, store, candidates), *_same_weights_notes(candidates))


def _recall_notes(
    request: RecommendRequest, store: Store, candidates: Sequence[Candidate]
) -> tuple[Notice, ...]:
    registered = store.checkpoints.count()
    if request.checkpoints or registered <= RECALLED:
        return ()
    ranked = sum(1 + len(one.also_named) for one in candidates if one.checkpoint.origin == "registry")
    return (
        Notice(
            code="recalled",
            message=f"{ranked} of {registered:,} registered checkpoints are ranked: those with the most similar "
            "training data, the best past runs on similar data sets, and the best by the rules of the forecast.",
            hint="`--checkpoint NAME` ranks others.",
        ),
    )


def _same_weights_notes(candidates: Sequence[Candidate]) -> tuple[Notice, ...]:
    """Notices on names that were taken together because their files are the same."""
    return tuple(
        Notice(
            code="same_weights",
            message=f"{printable(', '.join(one.also_named))}: the same file as {printable(one.checkpoint.name)}, "
            "so both are one row.",
        )
        for one in candidates
        if one.also_named
    )


def _one_per_file(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Candidates with equal files taken together, under the name whose training data are known."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.checkpoint.sha256 or candidate.checkpoint.name, []).append(candidate)
    merged = []
    for group in groups.values():
        first, *others = sorted(
            group, key=lambda one: (one.source is None, one.checkpoint.source_hash is None)
        )
        merged.append(
            replace(
                first,
                modes=tuple(mode for mode in LEARNED_MODES if any(mode in one.modes for one in group)),
                also_named=tuple(one.checkpoint.name for one in others),
            )
        )
    return tuple(merged)


def with_paths_registered(request: RecommendRequest, store: Store) -> RecommendRequest:
    """The request with weights files among its checkpoints replaced by the names they are registered under.

    For the command line and Python only: the service takes names, since a path in a request body would let a caller
    read any file of the machine. Raises InputError for a file that cannot be used.
    """
    names = tuple(_registered(text, store, keep=request.keep) for text in request.checkpoints)
    return request.model_copy(update={"checkpoints": names})


def starts_of(candidates: Sequence[Candidate]) -> tuple[tuple[Start, Candidate | None], ...]:
    """Every checkpoint in each of its modes, and scratch, which always runs."""
    pairs: list[tuple[Start, Candidate | None]] = [
        (Start(checkpoint=candidate.checkpoint.name, mode=mode), candidate)
        for candidate in candidates
        for mode in candidate.modes
    ]
    return (*pairs, (Start(checkpoint=SCRATCH, mode="scratch"), None))


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
    permissive = is_permissive(checkpoint.licence) and is_permissive(checkpoint.source_licence)
    return request.licence == "any" or permissive
