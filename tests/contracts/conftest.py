"""The same tests on both backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Return where the store lies."""
    return str(request.param)


@pytest.fixture
def address(backend: str, request: pytest.FixtureRequest, tmp_path: Path, empty_store: Path) -> str:
    """The address of a store without content."""
    if backend == "postgresql":
        return str(request.getfixturevalue("postgres").empty_store())
    file = tmp_path / "store.sqlite3"
    file.write_bytes(empty_store.read_bytes())
    return f"sqlite:///{file}"


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """An open, empty store."""
    with Store(address) as opened:
        yield opened
