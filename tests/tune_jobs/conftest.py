"""Fixtures of the tests of trainings and sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.store import Store
from tests.tune_jobs.launch_kit import Workshop


@pytest.fixture
def workshop(store: Store, tmp_path: Path) -> Workshop:
    """A place to launch in."""
    return Workshop(tmp_path, store)
