"""The append-only file of finished runs: one JSON line each, complete or absent after any kill."""

from __future__ import annotations

import os
from pathlib import Path

from recommender.records import Run
from recommender.store.records_json import decode, encode


def read_runs(path: Path) -> list[Run]:
    """Every complete line. A torn last line (a kill in the middle of a write) is not one."""
    if not path.exists():
        return []
    return [
        decode(Run, line) for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]


def append_run(path: Path, run: Run) -> None:
    """Append one run; a torn line left by an earlier kill is cut off first."""
    line = (encode(run) + "\n").encode()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            content = path.read_bytes()
            os.ftruncate(descriptor, content.rfind(b"\n") + 1)
        os.write(descriptor, line)  # one call: lines of two writers do not mix
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
