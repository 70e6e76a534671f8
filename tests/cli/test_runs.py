"""`recommend runs` and the words of `recommend train`, on a store with known runs; nothing is trained here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.cli.app import run as command
from recommender.cli.following import CurveView
from recommender.cli.runs import list_runs
from recommender.datasets import open_dataset
from recommender.records import EpochMetrics, JobEvent, Run
from recommender.store import Store
from tests.datagen import make_dataset
from tests.store.builders import run as make_run


@pytest.fixture
def store(store: Store) -> Store:
    """The store that the commands open, with two runs and a training that waits."""
    store.runs.add(make_run("aaaa1111"))
    store.runs.add(hostile_run("bbbb2222"))
    store.jobs.create(kind="training", owner="", key="k", body_digests=("b",), cluster="c", spec="{}")
    return store


def hostile_run(id: str) -> Run:
    """A run whose data set has a name that would clear the screen."""
    return replace(make_run(id), target_name="\x1b[2J<b>evil\n", created_at="2026-01-02T03:04:05+00:00")


def test_the_list_is_a_document(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {run["id"] for run in document["runs"]} == {"aaaa1111", "bbbb2222"}
    assert [training["status"] for training in document["trainings"]] == ["queued"]
    assert {"checkpoint", "mode", "score", "epochs", "status"} <= document["runs"][0].keys()


def test_the_list_holds_the_trainings_that_its_help_names(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    (job,) = store.jobs.list(kind="training")
    store.jobs.request_cancel(job.id)
    assert command(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trainings"] == []
    assert "the trainings under way or failed" in (list_runs.__doc__ or "")


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--limit", "-1"], ["--kind", "foo"]])
def test_a_list_of_what_cannot_be_is_refused(
    arguments: list[str], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["runs", "list", *arguments]) == 2
    said = capsys.readouterr().err
    assert "--help" in said
    assert "Value error" not in said


def test_a_list_of_what_is_not_there_says_that_there_are_others(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["runs", "list", "--dataset", "nowhere"]) == 0
    assert "No such run" in capsys.readouterr().out


def test_the_table_shows_names_as_they_may_be_shown(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "list"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J<b>evil\\n" in shown


def test_one_run_is_shown_by_its_first_characters(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "show", "aaaa", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["id"] == "aaaa1111"
    assert document["command"].startswith("recommend train --dataset DATASET --task detect --start ")
    assert len(document["curve"]) == len(make_run().curve)
    assert command(["runs", "show", "bbbb"]) == 0
    assert "\x1b[2J" not in capsys.readouterr().out


def test_runs_are_compared_best_first(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    worse = make_run("cccc3333")
    point = EpochMetrics(epoch=1, score=0.01, details={"map50": 0.02, "precision": 0.1}, seconds=1.0)
    store.runs.add(replace(worse, curve=(point,), best=point))
    assert command(["runs", "compare", "cccc3333", "aaaa1111"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("aaaa1111") < shown.index("cccc3333")


def test_runs_that_differ_in_more_than_their_start_are_not_compared(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = replace(make_run("dddd4444"), recipe=replace(make_run().recipe, epochs=77, imgsz=96))
    store.runs.add(longer)
    assert command(["runs", "compare", "aaaa1111", "dddd4444"]) == 2
    assert "epochs, image size" in capsys.readouterr().err
    assert command(["runs", "compare", "aaaa1111", "dddd4444", "--mixed"]) == 0


def test_a_run_is_ignored_let_back_in_and_forgotten(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "ignore", "aaaa"]) == 0
    assert store.runs.ignored() == {"aaaa1111"}
    assert command(["runs", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert {run["id"]: run["ignored"] for run in document["runs"]} == {"aaaa1111": True, "bbbb2222": False}
    assert command(["runs", "ignore", "aaaa", "--undo"]) == 0
    assert store.runs.ignored() == frozenset()
    assert command(["runs", "ignore", "aaaa"]) == 0
    assert command(["runs", "remove", "aaaa", "nope"]) == 2  # all or none
    assert store.runs.get("aaaa1111") is not None
    assert command(["runs", "remove", "aaaa"]) == 0
    assert store.runs.get("aaaa1111") is None
    assert store.runs.ignored() == frozenset()  # the same trained anew is not ignored


def test_runs_are_listed_by_data_set(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    named = make_run().target_name
    assert command(["runs", "list", "--dataset", named, "--json"]) == 0
    assert [run["id"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["aaaa1111"]


@pytest.mark.parametrize(("task", "found"), [("segment", ["cccc3333"]), ("detect", []), (None, ["cccc3333"])])
def test_runs_are_listed_by_data_set_as_it_is_read_for_a_task(
    task: str | None, found: list[str], store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outlines serve both tasks, and each reading has a content of its own."""
    folder = make_dataset(tmp_path / "outlines", images=4, size=(64, 64))
    for file in folder.rglob("labels/**/*.txt"):
        file.write_text("0 0.2 0.2 0.8 0.2 0.5 0.8\n", encoding="ascii")
    read = open_dataset(folder, task="segment")
    store.runs.add(replace(make_run("cccc3333"), target_hash=read.content_hash, task="segment"))
    asked = ["runs", "list", "--dataset", str(folder), "--json"]
    assert command(asked + (["--task", task] if task else [])) == 0
    assert [run["id"] for run in json.loads(capsys.readouterr().out)["runs"]] == found


@pytest.mark.parametrize("arguments", [["show", "nope"], ["compare", "aaaa1111", "nope"], ["cancel", "nope"]])
def test_what_is_not_there_is_said(
    store: Store, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert command(["runs", *arguments]) == 2
    assert "runs list" in capsys.readouterr().err


def test_a_training_is_cancelled(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (job,) = store.jobs.list()
    assert command(["runs", "cancel", job.id]) == 0
    assert "cancelled" in capsys.readouterr().out
    assert store.jobs.require(job.id).status == "cancelled"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--start", "coco:sideways"], "CHECKPOINT:full"),
        (["--start", "nobody:full"], "no checkpoint 'nobody'"),
        (["--start", "scratch", "--epochs", "0"], "--epochs"),
        (["--start", "scratch", "--optimizer", "auto"], "--optimizer"),
        (["--start", "scratch", "--address", "http://127.0.0.1:1"], "takes jobs but no files"),
        (["--start", "scratch", "--name", "coco"], "reserved"),
    ],
)
def test_bad_use_of_train_is_refused_before_anything_starts(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    from tests.datagen import make_dataset

    data = make_dataset(tmp_path / "data", images=4)
    assert command(["train", "--dataset", str(data), *arguments]) == 2
    assert words in capsys.readouterr().err
    with Store() as opened:
        assert opened.jobs.list() == ()


def test_a_line_is_drawn_per_epoch_where_there_is_no_terminal() -> None:
    import io

    from rich.console import Console

    output = io.StringIO()
    view = CurveView(Console(file=output), epochs=3)
    with view.open():
        view.show(JobEvent(seq=1, attempt=1, kind="status", data='{"status": "running"}', at=""))
        for number, value in enumerate((0.1, 0.4, 0.2), 1):
            data = {"epoch": number, "score": value, "details": {"map50": 0.5}, "seconds": 2.0 * number}
            view.show(JobEvent(seq=number + 1, attempt=1, kind="epoch", data=json.dumps(data), at=""))
    lines = output.getvalue().splitlines()
    assert lines[0] == "running"
    assert "epoch 3/3" in lines[3]
    assert "mAP50-95 0.200 (best 0.400)" in lines[3]
