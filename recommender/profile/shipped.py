"""The profiles that ship with the program."""

from __future__ import annotations

import functools
from pathlib import Path

from recommender.errors import StorageError
from recommender.profile.embedding import ENCODER
from recommender.records import Profile
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
