"""Leftovers of kill -9 are removed at the next start, and nothing that somebody uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recommender.leftovers import QUIET_S, TEMPORARY, UPLOAD_QUIET_S, WORK_QUIET_S, sweep_leftovers
from tests.service.kit import running, wait_until

LEFT = (
    "unpacked/.unpacking-1/images/a.jpg",
    "checkpoints/quarantine-1/weights.safetensors",
    "checkpoints/.arriving-1/best.safetensors",
    "shipments/.packing-1/weights",
    "thumbnails/.drawing-1/0.webp",
    "arriving/0123.part",
    "cache/.file.json.7-0123abcd.part",
    "uploads/0123456789abcdef/signs.zip",
)
KEPT = (
    "unpacked/0123/images/a.jpg",
    "checkpoints/0123.safetensors",
    "store.sqlite3",
    "trained/0123.safetensors",
)


def make(home: Path, name: str, *, age_s: float) -> Path:
    """A file of that age, in folders of that age; returns the folder or file that stands for it."""
    file = home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    for path in (file, *file.parents):
        if path == home:
            break
        os.utime(path, (time.time() - age_s,) * 2)
    return home / Path(*Path(name).parts[:2])


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temp folder of the test's own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_what_was_left_goes_and_the_rest_stays(home: Path, temporary: Path) -> None:
    left = [make(home, name, age_s=UPLOAD_QUIET_S + 60) for name in LEFT]
    kept = [make(home, name, age_s=UPLOAD_QUIET_S + 60) for name in KEPT]
    left.append(make(home, "work/killed/training-7.log", age_s=WORK_QUIET_S + 60))
    kept.append(make(home, "work/slow/training-8.log", age_s=WORK_QUIET_S - 60))
    left.append(make(temporary, f"{TEMPORARY}1/file", age_s=WORK_QUIET_S + 60).parent)
    kept.append(make(temporary, f"{TEMPORARY}long-epoch/results.csv", age_s=UPLOAD_QUIET_S).parent)
    names = (
        "somebody-else",
        "team-photos",
        "recommend-data",
        "scoring-2026",
    )  # the temp folder is everybody's
    others = [make(temporary, f"{name}/file", age_s=UPLOAD_QUIET_S) for name in names]
    removed = sweep_leftovers()
    assert set(removed) == set(left)
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in (*kept, *others))


def test_what_is_being_written_or_is_known_stays(home: Path) -> None:
    young = [make(home, name, age_s=QUIET_S / 2) for name in LEFT]
    known = make(home, "uploads/fedcba9876543210/signs.zip", age_s=UPLOAD_QUIET_S + 60)
    growing = make(home, "unpacked/.unpacking-2/images/a.jpg", age_s=QUIET_S + 60)
    (growing / "images" / "b.jpg").write_bytes(b"x")
    assert sweep_leftovers([known]) == ()
    assert all(path.exists() for path in (*young, known, growing))


def test_what_another_store_knows_stays(home: Path) -> None:
    """A service that is started with a new store must not delete the uploads of the old one."""
    uploads = [make(home, f"uploads/{name}/signs.zip", age_s=UPLOAD_QUIET_S + 60) for name in ("a1", "b2")]
    assert sweep_leftovers(uploads) == ()
    later = time.time() + 2 * UPLOAD_QUIET_S
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        assert sweep_leftovers() == ()
    assert all((path / "signs.zip").exists() for path in uploads)


def test_a_trial_which_knows_no_store_removes_folders_of_trials_only(home: Path) -> None:
    kept = [make(home, name, age_s=WORK_QUIET_S + 60) for name in LEFT]
    left = make(home, "work/killed/training-7.log", age_s=WORK_QUIET_S + 60)
    assert sweep_leftovers(trials_only=True) == (left,)
    assert all(path.exists() for path in kept)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["open file", "working folder", "argument"])
def test_what_a_process_uses_stays_until_it_ends(home: Path, how: str) -> None:
    folder = make(home, "checkpoints/quarantine-1/weights.safetensors", age_s=QUIET_S + 60)
    code = {"open file": f"f = open({str(folder / 'weights.safetensors')!r}); "}.get(how, "") + "input()"
    extra = [str(folder)] if how == "argument" else []
    with subprocess.Popen(
        [sys.executable, "-c", f"print(1, flush=True); {code}", *extra],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder if how == "working folder" else home,
    ) as user:
        assert user.stdout is not None
        user.stdout.readline()
        time.sleep(0.3)  # it opens its file after it has said that it lives
        assert sweep_leftovers() == ()
        user.communicate(b"\n")
    assert sweep_leftovers() == (folder,)


def test_the_service_sweeps_at_its_start(home: Path, tmp_path: Path) -> None:
    left = make(home, "unpacked/.unpacking-1/images/a.jpg", age_s=QUIET_S + 60)
    with running(tmp_path):
        wait_until(lambda: not left.exists(), 20)
