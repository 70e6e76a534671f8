"""Profiles of data sets: the probe's embedding of one, comparing two, and searching many.

Importing this package loads neither torch nor faiss; `profiling` and `index` do, in it, when they are used.
"""

from recommender.profile.embedding import ENCODER, NOTHING_SIMILAR, Similarity, compare
from recommender.profile.known import source_profile
from recommender.profile.leaks import images_seen

__all__ = [
    "ENCODER",
    "NOTHING_SIMILAR",
    "Similarity",
    "compare",
    "images_seen",
    "source_profile",
]
