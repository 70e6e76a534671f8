"""The folder of this project's own files: the store, caches, fetched and registered weights."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from pathlib import Path

import platformdirs

from recommender.errors import StorageError

OTHERS = 0o007  # may do nothing with our folders; a group that the user has allowed keeps its part


def expanded(path: str | Path) -> Path:
    """The path with `~` written out; as it stands where nobody has that name, as shells leave it."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def home() -> Path:
    """`RECOMMENDER_HOME`, or the platform's data folder. Created when first asked for. Raises StorageError."""
    chosen = os.environ.get("RECOMMENDER_HOME")
    folder = Path(chosen) if chosen else Path(platformdirs.user_data_dir("checkpoint-recommender"))
    folder = expanded(folder).absolute()
    return _made(folder)


def subfolder(name: str) -> Path:
    """A folder of ours below home, created when absent; for this user alone."""
    folder = _made(home() / name)
    _make_private(folder)
    return folder


@functools.cache
def _make_private(folder: Path) -> None:
    """Take from others what an older version, or a wide umask, let them read."""
    with contextlib.suppress(OSError):  # somebody else's, who decides
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & OTHERS:
            folder.chmod(mode & ~OTHERS)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:  # a file lies there, or the disk is read-only or full
        raise StorageError(
            f"{folder} cannot be a folder of ours: {error.strerror}.",
            remedy="Set RECOMMENDER_HOME to a folder that can be written to.",
        ) from error
    return folder
