"""Rows P1, P4, P7: nothing that a weights file says is ever run."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest
import torch

from recommender.checkpoints.quarantine.__main__ import examine
from recommender.checkpoints.quarantine.refusal import RefusalError
from recommender.errors import CheckpointError
from recommender.ultralytics_safety import prepare_ultralytics
from tests.checkpoints.kit import admit
from tests.hostile.bombs import KINDS, NamedCall, plant
from tests.processes import PYTHON, RECOMMEND, run_command

pytestmark = pytest.mark.slow  # every file is read in a process of its own

RUNS_ON_LOAD = [
    kind for kind in KINDS if kind not in {"yaml activation", "ultralytics function", "through getattr"}
]


@pytest.fixture(scope="module", autouse=True)
def _safe_ultralytics() -> None:
    """Live bombs load ultralytics: with its safety switches, whichever file of tests comes first."""
    prepare_ultralytics()


@pytest.mark.parametrize("kind", KINDS)
def test_bombs_are_refused_and_do_not_go_off(kind: str, tmp_path: Path) -> None:
    """Read without any wall around it: the placeholders alone have to hold."""
    marker = tmp_path / "marker"
    file = plant(tmp_path / "best.pt", kind, marker)
    before = file.read_bytes()
    with pytest.raises(RefusalError):
        examine(file, tmp_path)
    assert not marker.exists()
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", RUNS_ON_LOAD)
def test_the_bombs_are_live(kind: str, tmp_path: Path) -> None:
    """The same files do go off when loaded freely: the test above tests something."""
    marker = tmp_path / "marker"
    file = plant(tmp_path / "best.pt", kind, marker)
    try:
        if kind == "plain pickle":
            import pickle

            pickle.loads(file.read_bytes())
        else:
            torch.load(file, weights_only=False)
    except TypeError:
        pass  # what a free load made of it is of no interest
    assert marker.exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["beside weights", "plain pickle"])
def test_admission_refuses_bombs(kind: str, tmp_path: Path, home: Path) -> None:
    marker = tmp_path / "marker"
    with pytest.raises(CheckpointError, match="system") as caught:
        admit(plant(tmp_path / "best.pt", kind, marker))
    assert caught.value.remedy is not None
    assert "state_dict" in caught.value.remedy
    assert not marker.exists()
    assert list((home / "checkpoints").iterdir()) == []


@pytest.mark.slow
def test_the_command_line_refuses_with_2(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    file = plant(tmp_path / "best.pt", "inside the model", marker)
    add = (*RECOMMEND, "checkpoints", "add", file, "--name", "x")
    done = run_command(*add, status=2, RECOMMENDER_HOME=str(tmp_path / "home"))
    assert "exec" in done.stderr
    assert done.stdout == ""
    assert not marker.exists()


def fake_pip(folder: Path, marker: Path) -> str:
    """A PATH whose first entry holds pip, uv and git that leave a marker."""
    folder.mkdir()
    for name in ("pip", "pip3", "uv", "git"):
        script = folder / name
        script.write_text(f"#!/bin/sh\ntouch {marker}\n", encoding="utf-8")
        script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.slow
def test_absent_modules_are_not_installed(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    monkeypatch.setenv("PATH", fake_pip(tmp_path / "bin", marker))
    file = tmp_path / "best.pt"
    file.write_bytes(NamedCall("wholly_absent_package.nets", "Model", 1).bytes())
    with pytest.raises(CheckpointError, match="wholly_absent_package"):
        admit(file)
    assert not marker.exists()


@pytest.mark.slow
def test_behind_our_door_ultralytics_installs_nothing(tmp_path: Path) -> None:
    """Its own loader, as a training or a Ray worker might reach it, with the switches of `prepare_ultralytics`."""
    marker = tmp_path / "marker"
    file = tmp_path / "best.pt"
    code = """
        import sys, torch
        from recommender.ultralytics_safety import prepare_ultralytics
        prepare_ultralytics()
        from ultralytics.nn.tasks import torch_safe_load

        class Absent:
            pass

        Absent.__module__, Absent.__qualname__ = "wholly_absent_package.nets", "Absent"
        import types
        for name in ("wholly_absent_package", "wholly_absent_package.nets"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["wholly_absent_package.nets"].Absent = Absent
        torch.save({"model": Absent()}, sys.argv[1])
        del sys.modules["wholly_absent_package"], sys.modules["wholly_absent_package.nets"]
        try:
            torch_safe_load(sys.argv[1])
        except Exception as error:
            print("refused", type(error).__name__)
    """
    home, path = str(tmp_path / "home"), fake_pip(tmp_path / "bin", marker)
    done = run_command(*PYTHON, textwrap.dedent(code), file, RECOMMENDER_HOME=home, PATH=path)
    assert done.stdout.startswith("refused")
    assert not marker.exists()


# ── the hook inside Python ──────────────────────────────────────────────────────────


def confined(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in the quarantine's sandbox, without what the kernel forbids."""
    start = f"""
        import sys, os
        from pathlib import Path
        from recommender.checkpoints.quarantine.sandbox import confine
        source = Path({str(folder)!r}) / "source"
        source.write_bytes(bytes(1024))
        confine(source, Path({str(folder)!r}))
    """
    return run_command(*PYTHON, textwrap.dedent(start) + textwrap.dedent(code), status=None)


@pytest.mark.parametrize(
    "code",
    [
        "os.system('touch {marker}')",
        "import subprocess; subprocess.run(['touch', {marker!r}])",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "open({marker!r}, 'w')",
        "os.open({marker!r}, os.O_CREAT | os.O_WRONLY)",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "try:\n    open({marker!r}, 'a')\nexcept BaseException:\n    pass",
        "open('/etc/passwd')",
        "open(os.path.join({folder!r}, '..', 'other'))",
        "os.remove({other!r})",
        "os.rename({other!r}, {marker!r})",
        "os.mkdir({marker!r})",
        "os.symlink({other!r}, {marker!r})",
        "os.chmod({other!r}, 0o777)",
        "import shutil; shutil.rmtree({folder!r})",
        "os.kill(os.getppid(), 0)",
    ],
)
def test_the_hook_ends_the_process(code: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    folder = tmp_path / "out"
    folder.mkdir()
    other = tmp_path / "other"
    other.write_text("secret")
    done = confined(code.format(marker=str(marker), folder=str(folder), other=str(other)), folder)
    assert done.returncode == 4, done.stderr
    assert "forbidden" in done.stderr
    assert not marker.exists()
    assert other.read_text() == "secret"


def test_the_sandbox_lets_the_result_be_written(tmp_path: Path) -> None:
    done = confined(f"open({str(tmp_path / 'weights')!r}, 'wb').write(b'x'); print('done')", tmp_path)
    assert (done.returncode, done.stdout) == (0, "done\n")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("b'x' * (3 * 2**30)", "MemoryError"),
        ("open(os.path.join({folder!r}, 'w'), 'wb').write(b'x' * 2**27)", "File too large"),
    ],
)
def test_the_sandbox_bounds_memory_and_output(code: str, error: str, tmp_path: Path) -> None:
    done = confined(code.format(folder=str(tmp_path)), tmp_path)
    assert done.returncode == 1
    assert error in done.stderr
