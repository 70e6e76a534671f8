"""Profiles that need no embedding: those of the store, and those shipped with the zoo and the built-in history."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from recommender.profile.embedding import ENCODER
from recommender.profile.shipped import builtin_profiles
from recommender.progress import Progress, silent
from recommender.records import Dataset, Profile
from recommender.store import Store


def source_profile(source_hash: str | None, store: Store) -> Profile | None:
    """The profile of a checkpoint's source data set, None where it is not known."""
    if source_hash is None:
        return None
    return store.profiles.get(source_hash, ENCODER) or builtin_profiles().get(source_hash)


def source_profiles(hashes: Collection[str], store: Store) -> dict[str, Profile]:
    """The profiles of these data sets that are known, by content hash."""
    shipped = builtin_profiles()
    return {h: shipped[h] for h in hashes if h in shipped} | store.profiles.get_all(hashes, ENCODER)


def known_profile(dataset: Dataset, store: Store, *, progress: Progress = silent) -> Profile:
    """The data set's profile from the store or what is shipped, else embedded now and kept."""
    known = store.profiles.get(dataset.content_hash, ENCODER) or builtin_profiles().get(dataset.content_hash)
    if known is None:
        from recommender.profile.index_files import update_index
        from recommender.profile.profiling import profile_dataset

        known = profile_dataset(dataset, progress=progress)
        store.profiles.put(known)
        update_index(store)
    # The content is what was profiled; its name is whatever the user calls it today.
    return replace(known, dataset_name=dataset.name, task=dataset.task)
