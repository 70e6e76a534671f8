"""The kernel's limits on code that got past the unpickler and past Python's audit hook."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from recommender.checkpoints.quarantine.isolation import landlock_version
from recommender.checkpoints.quarantine.system_calls import FORBIDDEN, seccomp_filter
from tests.processes import PYTHON, run_command

pytestmark = pytest.mark.slow  # every file is read in a process of its own

needs_landlock = pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")
needs_seccomp = pytest.mark.skipif(
    sys.platform != "linux" or seccomp_filter(os.uname().machine, pid=1) is None,
    reason="no filter for this system",
)

START = """
    import ctypes, os, sys
    from pathlib import Path
    from recommender.checkpoints.quarantine.isolation import isolate
    folder, other, kernel = Path({folder!r}), Path({other!r}), ctypes.CDLL(None, use_errno=True)
    print(*isolate(Path({source!r}), folder), flush=True)
"""


def isolated(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run code in the isolation alone, without the audit hook: `other` is a folder of somebody else's."""
    for name in ("out", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "best.pt").write_text("weights")
    (tmp_path / "other" / "secret").write_text("secret")
    places = {name: str(tmp_path / path) for name, path in (("folder", "out"), ("other", "other"))}
    start = textwrap.dedent(START.format(source=str(tmp_path / "best.pt"), **places))
    return run_command(*PYTHON, start + textwrap.dedent(code), status=None)


@needs_landlock
@pytest.mark.parametrize(
    "code",
    [
        "(other / 'secret').read_text()",
        "open('/etc/passwd')",
        "Path('/proc/1/environ').read_bytes()",
        "os.listdir(other)",
        "(other / 'new').write_text('x')",
        "(other / 'secret').write_text('x')",
        "os.truncate(other / 'secret', 0)",
        "(other / 'secret').unlink()",
        "(other / 'secret').rename(folder / 'secret')",
        "(other / 'new').mkdir()",
        "(folder / 'link').symlink_to(other / 'secret')",
        "os.link(other / 'secret', folder / 'link')",
        "Path(sys.prefix, 'planted').write_text('x')",
    ],
)
def test_files_of_others_are_out_of_reach(code: str, tmp_path: Path) -> None:
    done = isolated(code, tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Permission denied" in done.stderr or "Invalid cross-device link" in done.stderr
    assert (tmp_path / "other" / "secret").read_text() == "secret"
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["secret"]


@needs_seccomp
@pytest.mark.parametrize(
    "code",
    [
        "os.fork()",
        "kernel.fork()",
        "kernel.vfork()",
        "kernel.syscall({clone}, 17, 0, 0, 0, 0)",
        "os.execv(sys.executable, [sys.executable, '-c', ''])",
        "import subprocess; subprocess.run(['true'])",
        "import socket; socket.socket()",
        "import socket; socket.socketpair()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "os.kill(os.getppid(), 0)",
        "os.kill(1, 9)",
        "kernel.syscall({tgkill}, os.getppid(), os.getppid(), 0)",
        "(folder / 'x').touch(); (folder / 'x').chmod(0o777)",
        "os.utime({own!r})",
        "kernel.ptrace(0, 0, 0, 0)",
    ],
)
def test_it_starts_nothing_and_speaks_to_nobody(code: str, tmp_path: Path) -> None:
    numbers = (
        {"clone": 56, "tgkill": 234} if os.uname().machine == "x86_64" else {"clone": 220, "tgkill": 131}
    )
    done = isolated(code.format(**numbers, own=sys.executable), tmp_path)
    assert done.returncode == -signal.SIGSYS, done.stderr


def test_what_reading_needs_goes_on(tmp_path: Path) -> None:
    code = """
        import threading
        source = folder.parent / "best.pt"
        threading.Thread(target=lambda: print(source.read_text(), flush=True)).start()
        (folder / "weights").write_text("kept")
        (folder / "weights").write_text("kept again")
        (folder / "weights").unlink()
        (folder / "facts").write_text("facts")
        import sqlite3, zoneinfo, decimal
    """
    done = isolated(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("weights\n")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["facts"]


def test_it_says_what_holds(tmp_path: Path) -> None:
    expected = ["landlock"] if landlock_version() else []
    expected += ["seccomp"] if needs_seccomp.args[0] is False else []
    assert isolated("", tmp_path).stdout.split() == expected


def test_an_unknown_architecture_gets_no_filter() -> None:
    assert seccomp_filter("riscv64", pid=1) is None
    lengths = {machine: len(seccomp_filter(machine, pid=1) or b"") for machine in ("x86_64", "aarch64")}
    known_on_arm = sum(arm is not None for _, arm in FORBIDDEN.values())
    assert lengths["x86_64"] - lengths["aarch64"] == 16 * (len(FORBIDDEN) - known_on_arm)
