"""What a data set looks like: the probe's embedding of it, comparing two, and searching many.

Importing this package loads neither torch nor faiss; `profile_dataset` and `SourceIndex` load them when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recommender.profile.embedding import ENCODER, NOTHING_SIMILAR, Similarity, compare
from recommender.profile.known import builtin_profiles, known_profile, source_profile
from recommender.profile.leaks import SeenImages, images_seen

if TYPE_CHECKING:
    from recommender.profile.index import SourceIndex, open_index
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


def __getattr__(name: str) -> Any:
    if name == "profile_dataset":
        from recommender.profile.profiling import profile_dataset

        return profile_dataset
    if name in ("SourceIndex", "open_index"):
        from recommender.profile import index

        return getattr(index, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
