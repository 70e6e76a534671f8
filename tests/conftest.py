"""Fixtures for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import PostgresServer, running_server

if TYPE_CHECKING:
    from recommender.store import Store

# Tiny models gain nothing from threads, and spinning ones lose twentyfold where the cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline in milliseconds, or drawing too slowly, says how busy the machine is and nothing about the code.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start clusters or browsers and so want the machine to themselves."""
    for item in items:
        if item.get_closest_marker("ray") or item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data sets and weights beside the project; tests that need it skip without."""
    folder = (ROOT.parent / "shared").resolve()
    if not (folder / "data").is_dir():
        pytest.skip("needs real data sets in ../shared")
    return folder


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Files written at the first import (ultralytics' settings) must not land in the user's own home."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_HOME", str(folder))
        yield folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `RECOMMENDER_HOME` of this test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("RECOMMENDER_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without content, to be copied: laying out the schema anew costs twenty times as much."""
    from recommender.store import Store

    file = tmp_path_factory.mktemp("empty") / "store.sqlite3"
    Store(file).close()
    return file


@pytest.fixture
def store(home: Path, empty_store: Path) -> Iterator[Store]:
    """An empty store in a home of this test's own."""
    from recommender.store import Store

    home.mkdir(exist_ok=True)
    (home / "store.sqlite3").write_bytes(empty_store.read_bytes())
    with Store() as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the tests' own; `empty_store()` gives each test a store, `fresh_database()` less."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def nano_pt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO11n with three classes and random weights as ultralytics saves it. Read it, never write it."""
    from tests.checkpoints.kit import random_model, save_ultralytics

    return save_ultralytics(tmp_path_factory.mktemp("weights") / "best.pt", random_model())
