"""Fixtures of the tests of trainings and sweeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.store import Store
from tests.tune_jobs.launch_kit import Workshop


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, home: Path) -> Iterator[Store]:
    """An empty store in a file of this test's own."""
    file = tmp_path / "store.sqlite3"
    file.write_bytes(empty_store.read_bytes())
    with Store(file) as opened:
        yield opened


@pytest.fixture
def workshop(store: Store, tmp_path: Path) -> Workshop:
    """A place to launch in."""
    return Workshop(tmp_path, store)
