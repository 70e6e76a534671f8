"""The ground truth: what is planned, and a ledger that survives any kill."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.truth.elsewhere import collect, exceptions_in_words, succeeded
from benchmarks.truth.entries import LONG, RANDOM_SUFFIX
from benchmarks.truth.ledger import append_run, read_runs
from benchmarks.truth.plan import plan
from benchmarks.truth.run import key, key_of, ledger_of
from recommender.forecast.history import builtin_history
from recommender.records import EpochMetrics, Recipe, Run, Start
from recommender.store.records_json import encode
from recommender.tasks import TASKS
from tests.conftest import ROOT
from tests.processes import run_command
from tests.store.builders import run as finished_run
from tests.store.builders import training_job

POINT = EpochMetrics(epoch=1, score=0.25, details={"map50": 0.5, "precision": 0.5}, seconds=1.5)


def a_run(number: int = 0) -> Run:
    return finished_run(
        f"run-{number}",
        target_name="mask_wearing",
        start=Start(checkpoint="coco-yolo11n", mode="full"),
        recipe=Recipe(epochs=10, imgsz=192),
        curve=(POINT,),
        best=POINT,
    )


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    assert read_runs(file) == []
    runs = [a_run(number) for number in range(3)]
    for run in runs:
        append_run(file, run)
    assert read_runs(file) == runs


@pytest.mark.parametrize("torn", [1, 30, 400])
def test_a_torn_last_line_is_no_run_and_does_not_spoil_the_next(tmp_path: Path, torn: int) -> None:
    file = tmp_path / "runs.jsonl"
    append_run(file, a_run(0))
    whole = file.read_bytes()
    append_run(file, a_run(1))
    file.write_bytes(file.read_bytes()[: len(whole) + torn])
    assert read_runs(file) == [a_run(0)]
    append_run(file, a_run(2))
    assert read_runs(file) == [a_run(0), a_run(2)]


def test_a_finished_run_is_found_again_in_the_plan() -> None:
    first = next(plan())
    assert key(first) == key_of(a_run())
    assert key(first) != key_of(replace(a_run(), recipe=Recipe(epochs=10, imgsz=192, seed=1)))


def test_the_plan_covers_what_the_forecast_needs() -> None:
    entries = list(plan())
    assert len(entries) == len(set(entries))
    own = [e for e in entries if e.source and e.source.removesuffix(RANDOM_SUFFIX) == e.target]
    assert own == [], "no checkpoint is tried on the set it was trained on"
    for part, targets, least_full, least_freeze in (("first", 10, 12, 12), ("width", 19, 6, 2)):
        base = [e for e in plan(part) if e.recipe == entries[0].recipe]
        for mode, least in (("full", least_full), ("freeze", least_freeze), ("scratch", 1)):
            counts = Counter(e.target for e in base if e.mode == mode)
            assert len(counts) >= targets
            assert min(counts.values()) >= least
    seeds = {(e.target, e.recipe.seed) for e in entries}
    assert len({target for target, seed in seeds if seed == 2}) >= 3
    assert len({e.target for e in entries if e.recipe.fraction < 1}) >= 2
    assert any(e.source is None for e in entries if e.recipe == LONG)
    assert len({e.source for e in entries if e.source and e.source.endswith(RANDOM_SUFFIX)}) >= 3


def test_each_family_runs_at_each_image_size_and_nothing_twice() -> None:
    sizes = list(plan("sizes"))
    targets = {e.target for e in sizes}
    assert len(targets) >= 6
    found = Counter((e.target, e.checkpoint, e.recipe.imgsz) for e in sizes)
    names = ("coco-yolo11n", "yolov8n", "yolo26n")
    assert found == Counter((t, name, px) for t in targets for name in names for px in (128, 256))
    assert not set(sizes) & set(plan("first"))


def test_segmentation_runs_every_start_in_every_mode_on_seven_sets() -> None:
    entries = list(plan("segment"))
    assert {e.task for e in entries} == {"segment"}
    assert len({e.target for e in entries}) >= 7
    for seed in (0, 1):
        starts = Counter(e.target for e in entries if e.recipe.seed == seed and e.target != "coco_seg_mini")
        assert min(starts.values()) >= 4
    assert [e.recipe.seed for e in entries] == sorted(e.recipe.seed for e in entries)
    modes = {(e.target, e.checkpoint, e.mode) for e in entries}
    for target, checkpoint, mode in modes:
        assert mode == "scratch" or {(target, checkpoint, "full"), (target, checkpoint, "freeze")} <= modes


def test_trainings_of_ten_images_are_in_a_ledger_of_their_own_and_never_shipped() -> None:
    runs = read_runs(ledger_of("detect", "few"))
    assert {key_of(run) for run in runs} <= {key(entry) for entry in plan("few")}
    assert {run.num_train_images for run in runs} == {10}
    assert not {run.id for run in runs} & {run.id for run in builtin_history("detect").runs}
    assert not set(plan("few")) & set(plan())


def test_runs_trained_elsewhere_that_failed_are_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    append_run(file, replace(a_run(0), status="failed"))
    append_run(file, a_run(1))
    assert succeeded(file) == {"run-1"}


def test_a_killed_worker_is_told_for_every_run_it_takes_along() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        well = pool.submit(gc.disable)
        well.result()
        killed: Future[None] = pool.submit(os._exit, 9)
        asked = {well: "well", killed: "killed", pool.submit(gc.disable): "waiting"}
        wait(asked)
    said = exceptions_in_words(asked)
    assert [line.split(":")[0] for line in said] == ["killed", "waiting"]
    assert all("BrokenProcessPool" in line for line in said)


@pytest.mark.slow
def test_training_elsewhere_ends_badly_where_a_run_could_not_begin(tmp_path: Path) -> None:
    job = training_job(tmp_path, recipe=Recipe(epochs=1, imgsz=32), target_name="missing")
    jobs, runs = tmp_path / "jobs.jsonl", tmp_path / "runs.jsonl"
    jobs.write_text(encode(job) + "\n", encoding="utf-8")
    words = ["train", str(tmp_path), str(jobs), "--runs", str(runs), "--device", "cpu", "--minutes", "2"]
    done = run_command(sys.executable, "-m", "benchmarks.truth.elsewhere", *words, status=1, cwd=ROOT)
    assert "missing scratch: " in done.stdout
    assert "0 runs are there" in done.stdout


def test_a_run_with_a_halved_batch_is_told_and_not_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, file = tmp_path / "ledger.jsonl", tmp_path / "runs.jsonl"
    monkeypatch.setattr("benchmarks.truth.run.ledger_of", lambda task, part: ledger)
    append_run(file, replace(a_run(0), batch_used=8))
    append_run(file, replace(a_run(1), recipe=Recipe(epochs=10, imgsz=192, seed=1)))
    collect(argparse.Namespace(runs=[file], part=None))
    assert [run.id for run in read_runs(ledger)] == ["run-1"]
    assert "batch 8 instead of 16" in capsys.readouterr().out


def test_the_ledgers_hold_no_peak_of_a_gpu_that_an_earlier_run_may_have_reached() -> None:
    """Processes trained several runs, and until it was mended each told the highest peak of all before it."""
    for task in TASKS:
        for run in read_runs(ledger_of(task.name)):
            if run.environment.device.startswith("cuda") and run.created_at < "2026-11-26T20:20":
                assert run.peak_memory_mb is None
