"""Opening files and folders so that what was opened is known, whatever happens to the path meanwhile.

A path that was checked can be swapped for a link before it is opened. The system tells where an open descriptor
really lies; that is what callers check.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path) -> tuple[BinaryIO, Path]:
    """Open a plain file for reading, with its path less all links. Raises OSError, also for pipes and devices."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        real = _real_path(descriptor, path)
        return os.fdopen(descriptor, "rb"), real
    except BaseException:
        os.close(descriptor)
        raise


@contextmanager
def open_folder(path: Path) -> Iterator[tuple[int, Path]]:
    """A descriptor of a folder and its path less all links. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0))
    try:
        yield descriptor, _real_path(descriptor, path)
    finally:
        os.close(descriptor)


@functools.cache
def _descriptors_are_shown() -> bool:
    return Path("/proc/self/fd").is_dir()


def _real_path(descriptor: int, path: Path) -> Path:
    if _descriptors_are_shown():
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - for each of 10⁵ files
    real = Path(os.path.realpath(path))  # elsewhere: where the path leads now, if that is what was opened
    if not os.path.samestat(real.lstat(), os.fstat(descriptor)):
        raise OSError(errno.ESTALE, "changed while it was opened")
    return real
