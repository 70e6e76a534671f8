"""A limit on the memory that one task of a worker process may allocate."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MB = 2**20
# What libraries raise in place of MemoryError: OpenCV, torch, NumPy's and Pillow's own come as MemoryError.
_SAID = re.compile(
    r"insufficient memory|not enough memory|can(?:'t|not) allocate memory|bad allocation|bad_alloc", re.I
)


@contextlib.contextmanager
def task_memory(megabytes: int | None) -> Iterator[None]:
    """Inside, this process may allocate that much beside what it holds already; None and other systems: no limit.

    What is beyond fails with MemoryError, or with what a library makes of it (see `is_out_of_memory`).
    """
    held = None if megabytes is None else _data_bytes()
    if megabytes is None or held is None:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + megabytes * MB
    if before[1] != resource.RLIM_INFINITY:
        wanted = min(wanted, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error, or what it came from, says that memory could not be allocated."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or _SAID.search(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _data_bytes() -> int | None:
    """Private writable memory of this process, which RLIMIT_DATA counts; None where that is not known."""
    if sys.platform != "linux":
        return None
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return None
