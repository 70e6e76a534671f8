"""The files in our home are for its user alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from recommender.home import home as home_folder
from recommender.home import subfolder
from recommender.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights as POSIX has them")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_home_folders_and_store_are_private(home: Path) -> None:
    assert mode(home_folder()) == 0o700
    assert mode(subfolder("uploads")) == 0o700
    with Store():
        assert mode(home / "store.sqlite3") == 0o600


def test_what_an_older_version_made_is_closed(home: Path) -> None:
    (home / "unpacked").mkdir(parents=True)
    home.chmod(0o755)
    (home / "unpacked").chmod(0o755)
    subfolder("unpacked")
    assert mode(home / "unpacked") == 0o750
    assert mode(home) == 0o755, "a folder that the user has made is theirs to open"


def test_an_older_store_is_closed_too(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite3"):
        pass
    (tmp_path / "store.sqlite3").chmod(0o644)
    with Store(tmp_path / "store.sqlite3"):
        assert mode(tmp_path / "store.sqlite3") == 0o640
