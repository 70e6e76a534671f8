"""The system calls that reading a file never needs, as a filter for the kernel (seccomp, classic BPF)."""

from __future__ import annotations

import errno
import struct

CLONE_THREAD = 0x10000
KILL, ALLOW, FAIL = 0x80000000, 0x7FFF0000, 0x00050000  # what becomes of the process, or of the call
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # bytes, in struct seccomp_data
X32 = 0x40000000  # numbers from here on are x86-64's second, unused table

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# name: number on x86-64, on ARM 64; None where the architecture has no such call.
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "kill": (62, 129),
    "tkill": (200, 130),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "mount": (165, 40),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
CLONE, CLONE3 = (56, 220), (435, 435)
ON_ITSELF_ONLY = {"tgkill": (234, 131), "prlimit64": (302, 261)}  # name a process: 0 or this one is fine


def seccomp_filter(machine: str, *, pid: int) -> bytes | None:
    """The filter's instructions for this machine, 8 bytes each; None for an architecture not known here.

    A forbidden call ends the process `pid`. Threads may be started, processes not.
    """
    if machine not in ARCHITECTURES:
        return None
    column = list(ARCHITECTURES).index(machine)
    lines = [
        _line(LOAD, ARCHITECTURE_AT),
        _line(EQUAL, ARCHITECTURES[machine], then=1),
        _line(RETURN, KILL),
        _line(LOAD, NUMBER_AT),
        _line(AT_LEAST, X32, otherwise=1),
        _line(RETURN, KILL),
    ]
    for numbers in FORBIDDEN.values():
        number = numbers[column]
        if number is not None:
            lines += [_line(EQUAL, number, otherwise=1), _line(RETURN, KILL)]
    # The C library then starts its threads by clone, whose flags can be seen.
    lines += [_line(EQUAL, CLONE3[column], otherwise=1), _line(RETURN, FAIL | errno.ENOSYS)]
    lines += [_line(EQUAL, CLONE[column], otherwise=4), _line(LOAD, FIRST_ARGUMENT_AT)]
    lines += [_line(ANY_BIT, CLONE_THREAD, then=1), _line(RETURN, KILL), _line(RETURN, ALLOW)]
    for numbers in ON_ITSELF_ONLY.values():
        lines += [_line(EQUAL, numbers[column], otherwise=5), _line(LOAD, FIRST_ARGUMENT_AT)]
        lines += [
            _line(EQUAL, pid, then=2),
            _line(EQUAL, 0, then=1),
            _line(RETURN, KILL),
            _line(RETURN, ALLOW),
        ]
    return b"".join([*lines, _line(RETURN, ALLOW)])


def _line(code: int, operand: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; a comparison skips `then` lines where it holds, else `otherwise`."""
    return struct.pack("<HBBI", code, then, otherwise, operand)
