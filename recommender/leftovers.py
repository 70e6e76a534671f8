"""Leftovers of killed processes: found by name, and removed once nobody can be using it any more."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

from recommender.home import home

QUIET_S = 600.0  # since anything in it was last written; what is still being made is written all the time
UPLOAD_QUIET_S = 24 * 3600.0  # an upload may wait in a queue after it has arrived
DOWNLOAD_QUIET_S = 7 * 24 * 3600.0  # a broken download is taken up again
WORK_QUIET_S = 7 * 24 * 3600.0  # a machine that shares this home may write a trial's folder once an epoch
PATTERNS = (
    "checkpoints/quarantine-*",
    "*/.unpacking-*",
    "*/.drawing-*",
    "*/.packing-*",
    "*/.arriving-*",
    "*/.*.part",
    "arriving/*.part",
    "evaluations/*.part",
    "comparisons/*/*.part",
)
# A file in the folder of an upload that some store knows, perhaps not the one in use now.
REGISTERED = "registered"
# How our names in the system's temp folder begin. It is everybody's: `team-*` would take the user's own photos.
TEMPORARY = "checkpoint-recommender-tmp-"


def sweep_leftovers(uploads_in_use: Collection[Path] = (), *, trials_only: bool = False) -> tuple[Path, ...]:
    """Remove what was left and is in nobody's use; returns what was removed.

    `uploads_in_use` are the folders below `uploads/` that the store knows; they are marked, so that a service with
    another store does not take them for leftovers. In use is what was written lately, what a
    running process has open, or works in, or was started with. With `trials_only`, the folders of trials alone are
    looked at: who knows no store cannot tell which uploads are in use.
    """
    now = time.time()
    for path in uploads_in_use:
        with contextlib.suppress(OSError):
            (path / REGISTERED).touch()
    known = {path.absolute() for path in uploads_in_use}
    candidates = _trials() if trials_only else (*_trials(), *_candidates())
    old = [path for path, quiet_s in candidates if path not in known and now - _written_at(path) > quiet_s]
    if not old:
        return ()
    busy = tuple(_paths_in_use())
    free = [path for path in old if not any(_is_at_or_below(used, path) for used in busy)]
    return tuple(path for path in free if _remove(path))


def _trials() -> Iterator[tuple[Path, float]]:
    yield from ((path, WORK_QUIET_S) for path in home().glob("work/*"))


def _candidates() -> Iterator[tuple[Path, float]]:
    """Paths by name, and for how long each has to be quiet."""
    ours = home()
    for pattern in PATTERNS:
        yield from ((path, QUIET_S) for path in ours.glob(pattern))
    uploads = (path for path in ours.glob("uploads/*") if not (path / REGISTERED).exists())
    yield from ((path, UPLOAD_QUIET_S) for path in uploads)
    yield from ((path, DOWNLOAD_QUIET_S) for path in ours.glob("downloads/*.part"))
    for path in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.getuid():
                yield path, WORK_QUIET_S  # a full training writes into its own once an epoch


def _written_at(path: Path) -> float:
    """The time at which a file, or the newest thing in a folder, was last changed; now for what has gone meanwhile."""
    try:
        newest = path.lstat().st_mtime
        for folder, _, files in os.walk(path):
            newest = max([newest, Path(folder).stat().st_mtime])
            newest = max([newest, *((Path(folder) / name).lstat().st_mtime for name in files)])
        return newest
    except OSError:
        return time.time()


def _paths_in_use() -> Iterator[str]:
    """Paths that processes of this machine have open, work in, or were given as arguments, where we may look."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            yield process.cwd()
        with contextlib.suppress(psutil.Error, OSError):
            yield from process.cmdline()
        with contextlib.suppress(psutil.Error, OSError):
            yield from (file.path for file in process.open_files())


def _is_at_or_below(used: str, path: Path) -> bool:
    return used == str(path) or used.startswith(str(path) + os.sep)


def _remove(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    return True
