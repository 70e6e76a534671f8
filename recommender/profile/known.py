"""Profiles that need no embedding: those shipped with the zoo and the built-in history, and the stored."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from recommender.errors import StorageError
from recommender.profile.embedding import ENCODER
from recommender.progress import Progress, silent
from recommender.records import Dataset, Profile
from recommender.store import Store
from recommender.store.codec import load_profile

FOLDER = Path(__file__).parent / "builtin"


@functools.cache
def builtin_profiles() -> dict[str, Profile]:
    """The shipped profiles by data set hash; those of another encoder than today's are left out.

    Raises StorageError where none is there or one is damaged.
    """
    found = [load_profile(file) for file in sorted(FOLDER.glob("*.npz"))]
    if not found:
        raise StorageError(
            f"The built-in profiles in {FOLDER} are missing.", remedy="Install the package again."
        )
    return {profile.dataset_hash: profile for profile in found if profile.encoder == ENCODER}


def source_profile(source_hash: str | None, store: Store) -> Profile | None:
    """The profile of a checkpoint's source data set, None where it is not known."""
    if source_hash is None:
        return None
    return store.profiles.get(source_hash, ENCODER) or builtin_profiles().get(source_hash)


def known_profile(dataset: Dataset, store: Store, *, progress: Progress = silent) -> Profile:
    """The data set's profile from the store or what is shipped, else embedded now and kept."""
    known = store.profiles.get(dataset.content_hash, ENCODER) or builtin_profiles().get(dataset.content_hash)
    if known is None:
        from recommender.profile.profiling import profile_dataset

        known = profile_dataset(dataset, progress=progress)
        store.profiles.put(known)
    # The content is what was profiled; its name is whatever the user calls it today.
    return replace(known, dataset_name=dataset.name)


def known_sources(store: Store) -> tuple[Profile, ...]:
    """Every profile there is, shipped or the user's, each data set once."""
    return tuple({**builtin_profiles(), **{p.dataset_hash: p for p in store.profiles.list(ENCODER)}}.values())
