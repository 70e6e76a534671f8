"""Limits on the process that reads an untrusted file: memory, time, output, and a hook inside Python.

The hook ends the process at the first forbidden thing that *Python* does. Code of its own could go round it; what
holds against that is the kernel's part, in isolation.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from recommender.checkpoints.quarantine.isolation import own_files

FORBIDDEN_EXIT = 4

FORBIDDEN_EVENTS = (
    *("socket.", "subprocess.", "pty.", "shutil.", "mmap.", "fcntl.", "ctypes.dlopen", "ctypes.dlsym"),
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "os.startfile", "os.kill"),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr", "os.chflags", "os.lockf"),
)


def confine(source: Path, folder: Path) -> None:
    """Restrict this process: bounded memory, time and output; no processes, no sockets, no writing beside `folder`,
    and no reading but of `source` and of Python's own files.
    """
    file_bytes = source.stat().st_size
    sys.addaudithook(_guard(source, folder))
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


def _guard(source: Path, folder: Path) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook. It cannot be removed again."""
    writable = str(folder.absolute()) + os.sep
    readable = (writable, str(source.absolute()), *(str(path) for path in own_files()))
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def guard(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN_EVENTS):
            _stop(event)
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int):
                return  # a file that is open already
            named = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - a Path would not do away with `..`
            if isinstance(flags, int) and flags & writing:
                if not named.startswith(writable):
                    _stop(f"writing of {path!r}")
            elif not named.startswith(readable):
                _stop(f"reading of {path!r}")

    return guard


def _stop(what: str) -> NoReturn:
    os.write(2, f"quarantine: forbidden {what}\n".encode())
    os._exit(FORBIDDEN_EXIT)  # past any handler
