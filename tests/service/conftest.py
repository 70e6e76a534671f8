"""One service for the tests of a file, and a small data set to upload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.datagen import make_dataset, zip_of
from tests.service.kit import Service, SharedPools, quiet, running, settings_for_tests


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    quiet()


@pytest.fixture(scope="session")
def pools() -> Iterator[SharedPools]:
    """The worker processes of all services of these tests."""
    made = SharedPools(recommendation_workers=1, task_memory_mb=settings_for_tests().task_memory_mb)
    yield made
    made.end()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, pools: SharedPools) -> Iterator[Service]:
    """Shared by tests of one file that only add things of their own: what a file leaves, no other file meets."""
    with running(tmp_path_factory.mktemp("service"), pools=pools) as made:
        yield made


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small YOLO data set."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    make_dataset(folder, format="yolo")
    return folder


@pytest.fixture(scope="session")
def small_zip(small_set: Path) -> Path:
    """The same as a zip."""
    return zip_of(small_set, small_set.parent / "shapes.zip")
