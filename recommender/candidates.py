"""Which starts are in the race for a request: what is on this machine, what was named, COCO and scratch always."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recommender.checkpoints import COCO, all_checkpoints, fetch, get_checkpoint
from recommender.errors import UsageError
from recommender.forecast.warnings import is_permissive
from recommender.profile.known import source_profile
from recommender.progress import Progress
from recommender.records import MODES, SCRATCH, Checkpoint, Mode, Profile, Start
from recommender.requests import RecommendRequest
from recommender.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A checkpoint and what is known of its source data."""

    checkpoint: Checkpoint
    source: Profile | None


def choose_candidates(request: RecommendRequest, store: Store, progress: Progress) -> tuple[Candidate, ...]:
    """The checkpoints in the race, by name. Scratch is added by `starts_of`.

    Without names, everything on this machine runs; public checkpoints that were never fetched only run when named,
    since fetching is the user's to ask for. Raises NotFoundError for a name nobody knows, UnavailableError for one
    that cannot be fetched (offline), and UsageError where all of them are larger than asked for.
    """
    if request.checkpoints:
        named = [get_checkpoint(store, name) for name in (*request.checkpoints, COCO) if name != SCRATCH]
        chosen = [_at_hand(checkpoint, request, progress) for checkpoint in named]
    else:
        chosen = [checkpoint for checkpoint in all_checkpoints(store) if checkpoint.available]
    _require_some_small_enough(chosen, request)
    unique = {checkpoint.name: checkpoint for checkpoint in chosen if _allowed(checkpoint, request)}
    return tuple(
        Candidate(checkpoint=checkpoint, source=source_profile(checkpoint.source_hash, store))
        for _, checkpoint in sorted(unique.items())
    )


def with_paths_registered(request: RecommendRequest, store: Store) -> RecommendRequest:
    """The request with weights files among its checkpoints replaced by the names they are registered under.

    For the command line and Python only: the service takes names, since a path in a request body would let a caller
    read any file of the machine. Raises InputError for a file that cannot be used.
    """
    names = tuple(
        name if name == SCRATCH else get_checkpoint(store, name, allow_paths=True).name
        for name in request.checkpoints
    )
    return request.model_copy(update={"checkpoints": names})


def starts_of(
    candidates: Sequence[Candidate], modes: Sequence[Mode]
) -> tuple[tuple[Start, Candidate | None], ...]:
    """Every checkpoint in every mode asked for, and scratch, which always runs."""
    learned = [mode for mode in MODES if mode in modes and mode != "scratch"]
    pairs: list[tuple[Start, Candidate | None]] = [
        (Start(checkpoint=candidate.checkpoint.name, mode=mode), candidate)
        for candidate in candidates
        for mode in learned
    ]
    return (*pairs, (Start(checkpoint=SCRATCH, mode="scratch"), None))


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
