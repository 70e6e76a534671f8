"""Restrictions by the kernel on the process that reads an untrusted file: Landlock for files, seccomp for system calls.

Neither needs privileges; both are for good, and whatever the process starts inherits them. Landlock is in Linux from
5.13 (https://docs.kernel.org/userspace-api/landlock.html), seccomp filters from 3.5. Elsewhere nothing is done, and
the result says so.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from recommender.checkpoints.quarantine.system_calls import seccomp_filter

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # on every architecture
LANDLOCK_VERSION, RULE_PATH_BENEATH = 1, 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
READ_FILE, READ_DIR = 1 << 2, 1 << 3
WRITE = 1 << 1 | 1 << 5 | 1 << 8  # write a file, remove one, make one
TRUNCATE = 1 << 14
# How many rights a version of Landlock knows; later ones: the last.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
TCP_FROM, SCOPES_FROM = 4, 6  # versions that know network rights, and scopes for signals and abstract sockets
SYSTEM_FILES = (
    *("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache"),
    *("/dev/urandom", "/proc/cpuinfo", "/sys/devices/system/cpu"),  # torch looks there when it is loaded
    "/proc/self/statm",  # what is mapped already, see sandbox.py
)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def isolate(source: Path, folder: Path) -> tuple[str, ...]:
    """Restrict this process: read `source` and Python's files, write below `folder`, start nothing, connect to nothing.

    To be called while the process has one thread. Returns which of "landlock" and "seccomp" hold now.
    """
    if sys.platform != "linux":
        return ()
    kernel = ctypes.CDLL(None, use_errno=True)
    if kernel.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return ()
    held = []
    if _landlock(kernel, readable=[source, *own_files()], writable=folder):
        held.append("landlock")
    if _seccomp(kernel):
        held.append("seccomp")
    return tuple(held)


def landlock_version() -> int:
    """The version of this kernel; 0 where it has none or it is switched off."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION)))


def _landlock(kernel: ctypes.CDLL, *, readable: Iterable[Path], writable: Path) -> bool:
    version = landlock_version()
    if version < 1:
        return False
    rights = (1 << FILE_RIGHTS.get(version, FILE_RIGHTS[max(FILE_RIGHTS)])) - 1
    rules = _Ruleset(
        files=rights, network=3 if version >= TCP_FROM else 0, scopes=3 if version >= SCOPES_FROM else 0
    )
    size = 24 if version >= SCOPES_FROM else 16 if version >= TCP_FROM else 8
    ruleset = kernel.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(rules), size, 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(kernel, ruleset, path, READ_FILE | READ_DIR if path.is_dir() else READ_FILE)
        _allow(kernel, ruleset, writable, (READ_FILE | READ_DIR | WRITE | TRUNCATE) & rights)
        return bool(kernel.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(kernel: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Grant rights on a file, or on a folder and all below. What does not exist needs none."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        beneath = _Beneath(rights=rights, parent=opened)
        kernel.syscall(LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(beneath), 0)
    finally:
        os.close(opened)


def own_files() -> list[Path]:
    """Python, its packages, ours, and the system's libraries: what is imported or loaded later."""
    package = Path(__file__).parents[2]
    found = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(package)}
    found |= {entry for entry in sys.path if entry and Path(entry) != package.parent}
    found |= {entry for entry in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if entry}
    return [Path(entry) for entry in sorted({*found, *SYSTEM_FILES})]


def _seccomp(kernel: ctypes.CDLL) -> bool:
    instructions = seccomp_filter(platform.machine(), pid=os.getpid())
    if instructions is None:
        return False
    program = _Program(length=len(instructions) // 8, filter=instructions)
    return bool(kernel.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)
