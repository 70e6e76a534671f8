"""Profiles of data sets: the probe's embedding of one, comparing two, and searching many.

Importing this package loads neither torch nor faiss; `profiling` and `index` do, in it, when they are used.
"""

from recommender.profile.embedding import ENCODER, NOTHING_SIMILAR, Similarity, compare
from recommender.profile.known import known_profile, source_profile
from recommender.profile.leaks import images_seen
from recommender.profile.shipped import builtin_profiles

__all__ = [
    "ENCODER",
    "NOTHING_SIMILAR",
    "Similarity",
    "builtin_profiles",
    "compare",
    "images_seen",
    "known_profile",
    "source_profile",
]
