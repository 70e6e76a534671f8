"""Fixtures of the profile tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def quiet_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of this module's own, where ultralytics puts its settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_HOME", str(tmp_path_factory.mktemp("home")))
        yield
