"""Fixtures of the profile tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recommender.records import Profile
from tests.profile.synthetic import synthetic_profile


@pytest.fixture(scope="module")
def quiet_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of this module's own, where ultralytics puts its settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def profiles() -> list[Profile]:
    return [
        synthetic_profile(f"set{n}", centre=0.1 * n, images=6 + 3 * n, objects=1 + n % 3, seed=n)
        for n in range(12)
    ]
