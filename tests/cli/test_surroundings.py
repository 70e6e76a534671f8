"""The surroundings of a command: its home, its output, and requests that nothing here can meet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recommender.cli.app import run
from recommender.errors import UsageError
from tests.datagen import make_dataset

MAIN = [sys.executable, "-c", "from recommender.cli import main; main()"]
INSPECT = [*MAIN, "datasets", "inspect"]


def test_a_home_that_is_a_file_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path / "file"))
    assert run(["runs", "list"]) == 1
    said = capsys.readouterr().err
    assert "RECOMMENDER_HOME" in said
    assert "our fault" not in said
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_that_cannot_be_opened_is_named_with_its_remedy(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a home on a disk that is mounted to be read only."""
    (home / "downloads" / "kept-weights.lock").mkdir(parents=True)
    assert run(["checkpoints", "remove", "yolo11n", "--yes"]) == 1
    said = capsys.readouterr().err
    assert f"{home}/downloads/kept-weights.lock: " in said
    assert "RECOMMENDER_HOME" in said
    assert "our fault" not in said


def test_no_start_is_small_enough(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_dataset(tmp_path / "set")
    assert run(["--dataset", str(folder), "--max-params", "1"]) == 2
    assert "--max-params 2." in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "0.5"])
def test_gpus_for_trials_are_refused_without_trials(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert run(["--dataset", str(tmp_path), "--gpus-per-trial", value]) == 2
    assert "--gpus-per-trial is for trials" in capsys.readouterr().err


def test_an_empty_limit_is_none(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--dataset", str(tmp_path / "none"), "--max-params", ""]) == 2
    assert "max-params" not in capsys.readouterr().err


def test_an_unknown_mode_is_one_error(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--dataset", str(tmp_path), "--modes", "foo"]) == 2
    said = capsys.readouterr().err
    assert "'foo'" in said
    assert "at least 1 item" not in said


def test_ctrl_c_within_a_command_is_told(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt  # as Ctrl-C does; workers of the tests ignore the signal itself

    monkeypatch.setattr("recommender.pipeline.open_dataset", interrupted)
    assert run(["--dataset", str(tmp_path)]) == 130
    assert capsys.readouterr().err.endswith("error: interrupted; what was finished is kept.\n")


@pytest.mark.slow
def test_a_table_survives_another_encoding_and_a_closed_output(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "sét", classes=("größe", "平"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "RECOMMENDER_HOME": str(tmp_path / "home")}
    done = subprocess.run([*INSPECT, str(folder)], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "größe" in done.stdout.decode("utf-8")
    closed = subprocess.run(
        ["bash", "-c", 'exec "$@" >&-', "bash", *INSPECT, str(folder)], env=environment, capture_output=True
    )
    assert closed.returncode == 0, closed.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_not_called_our_fault(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set")
    environment = {**os.environ, "RECOMMENDER_HOME": str(tmp_path / "home")}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*INSPECT, str(folder)], env=environment, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"our fault" not in done.stderr
    assert b"disk is full" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["devices", "devices --json", "--help"])
def test_a_reader_that_has_seen_enough_is_no_failure(arguments: str) -> None:
    """`recommend … | head -1`: of a pipe, a table, a document and the help break in three different places."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run([*MAIN, *arguments.split()], stdout=gone, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("seen", [True, False])
def test_a_comparison_asks_only_where_the_question_is_seen(
    seen: bool, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def until_it_asks(request: object, *, ask: bool) -> None:
        asked.append(ask)
        raise UsageError("Enough.", remedy="None.")

    monkeypatch.setattr("recommender.cli.compare._run", until_it_asks)  # it would train first
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: seen)
    assert run(["compare", "--dataset", str(make_dataset(tmp_path / "signs"))]) == 2
    assert asked == [seen]
