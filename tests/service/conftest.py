"""One service for all tests that leave no trace in it, and a small data set to upload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.datagen import make_dataset, zip_of
from tests.service.kit import Service, quiet, running


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    quiet()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Shared by tests that only add things of their own."""
    with running(tmp_path_factory.mktemp("service")) as made:
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
