"""Bounds on the process that reads an untrusted file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

FORBIDDEN_EXIT = 4

FORBIDDEN_EVENTS = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.spawn",
    "pty.",
)


def confine(file_bytes: int, folder: Path) -> None:
    """From here on: bounded memory, time and output; no processes, no sockets, no writing beside `folder`."""
    sys.addaudithook(_guard(folder.absolute()))
    try:
        import resource
    except ImportError:  # Windows: only the time limit of the parent
        return
    limits = {
        "RLIMIT_CPU": 120 + file_bytes // 2**20,  # s
        "RLIMIT_FSIZE": 3 * file_bytes + 2**26,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 128,
    }
    statm = Path("/proc/self/statm")
    if statm.exists():  # torch alone maps gigabytes, so count from what is mapped already
        mapped = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limits["RLIMIT_AS"] = mapped + 8 * file_bytes + 2**30
    for name, value in limits.items():
        kind = getattr(resource, name)
        ceiling = min([value, *(limit for limit in resource.getrlimit(kind) if limit >= 0)])
        resource.setrlimit(kind, (ceiling, ceiling))


def _guard(folder: Path) -> Callable[[str, tuple[Any, ...]], None]:
    """Audit hook: a second wall, should the restricted unpickler ever leak. It cannot be removed again."""
    writable = str(folder) + os.sep
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def guard(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN_EVENTS):
            _stop(event)
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not (isinstance(flags, int) and flags & writing):
                return  # a file that is open already, or reading
            if not os.fsdecode(path).startswith(writable):
                _stop(f"writing of {path!r}")

    return guard


def _stop(what: str) -> NoReturn:
    os.write(2, f"quarantine: forbidden {what}\n".encode())
    os._exit(FORBIDDEN_EXIT)  # past any handler
