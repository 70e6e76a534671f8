"""Profiles of data sets: the probe's embedding of one, comparing two, and searching many.

Importing this package loads neither torch nor faiss; `profile_dataset` and `SourceIndex` load them when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommender.profile.embedding import ENCODER, NOTHING_SIMILAR, Similarity, compare
from recommender.profile.known import known_profile, source_profile
from recommender.profile.leaks import SeenImages, images_seen
from recommender.profile.shipped import builtin_profiles

if TYPE_CHECKING:
    from recommender.profile.index import SourceIndex
    from recommender.profile.index_files import open_index
    from recommender.profile.profiling import profile_dataset

__all__ = [
    "ENCODER",
    "NOTHING_SIMILAR",
    "SeenImages",
    "Similarity",
    "SourceIndex",
    "builtin_profiles",
    "compare",
    "images_seen",
    "known_profile",
    "open_index",
    "profile_dataset",
    "source_profile",
]


def __getattr__(name: str) -> object:
    if name == "profile_dataset":
        from recommender.profile.profiling import profile_dataset

        return profile_dataset
    if name == "SourceIndex":
        from recommender.profile.index import SourceIndex

        return SourceIndex
    if name == "open_index":
        from recommender.profile.index_files import open_index

        return open_index
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
