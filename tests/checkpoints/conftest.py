"""Checkpoints that several tests read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.store import Store


@pytest.fixture
def store(home: Path, empty_store: Path) -> Iterator[Store]:
    """An empty store in a home of this test's own."""
    home.mkdir(exist_ok=True)
    (home / "store.sqlite3").write_bytes(empty_store.read_bytes())
    with Store() as opened:
        yield opened
