"""Checkpoints that several tests read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.store import Store


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """An empty store in a home of this test's own."""
    with Store.open_default() as opened:
        yield opened
