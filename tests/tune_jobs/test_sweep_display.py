"""The display of a sweep: a table on a terminal, lines in a log, a matrix at the end."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from recommender.comparison.noise import SeedSpread
from recommender.records import Start
from recommender.store import Store
from tests.store.builders import point
from tests.tune_jobs.sweep_kit import Clock, actor_event, finished, paper_trials, trial_driver
from tune_jobs.sweep.display import (
    LiveTable,
    PlainLines,
    duration,
    summary_of,
    table_of,
)
from tune_jobs.sweep.documents import SweepDocument
from tune_jobs.sweep.result_matrix import cells_of, matrix_tables, sweep_document
from tune_jobs.sweep.run import SweepResult, _watcher
from tune_jobs.sweep.trial_driver import TrialDriver
from tune_jobs.sweep.trial_spec import TrialSpec
from tune_jobs.sweep.unfinished_runs import failed_run


@pytest.fixture
def halfway(store: Store) -> TrialDriver:
    """Of four trials one is known, one done, one running and one failed; 100 s of 600 s are spent."""
    clock = Clock()
    specs = paper_trials(4)
    store.runs.add(finished(specs[0], [0.1, 0.2, 0.25]))
    driver = trial_driver(specs, store, clock=clock, budget="10m", slots=3)
    for _ in range(3):
        driver.started(driver.next_id() or "")
    clock.now += 100
    driver.receive(specs[1].id, actor_event("a", "run", run=finished(specs[1], [0.1, 0.3, 0.2])))
    driver.receive(specs[2].id, actor_event("b", "epoch", epoch=point(1, 0.125)))
    driver.receive(specs[3].id, actor_event("c", "run", run=failed_run(specs[3].job, "out of memory")))
    return driver


def rendered(thing: object, *, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(thing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_lines_that_nobody_reads_any_more_harm_no_sweep(halfway: TrialDriver) -> None:
    read, write = os.pipe()
    os.close(read)

    def say(line: str) -> None:
        os.write(write, line.encode())

    with pytest.raises(BrokenPipeError):
        PlainLines(say).show(halfway.view())
    on_step = _watcher(halfway, PlainLines(say), lambda: "cancelled")
    for _ in range(2):
        on_step()
    os.close(write)
    assert halfway.stop_reason() == "cancelled"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (48, "48 s"), (200, "3:20 min"), (7500, "2:05 h")]
)
def test_durations_read_well(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_the_table_shows_curve_cost_and_what_is_left(halfway: TrialDriver) -> None:
    view = halfway.view()
    lines = rendered(table_of(view)).splitlines()
    assert "running" in lines[1]
    assert "1/3" in lines[1]
    assert "0.300" in lines[2]  # the best of the ended first
    assert "known" in lines[3]
    assert "failed: out of memory" in lines[4]
    assert summary_of(view) == (
        "2 of 4 done · 1 failed · 1 running on 3 slots · 1:40 min elapsed · 5:00 min of CPU time · "
        "8:20 min left of 10:00 min"
    )


def test_names_of_users_cannot_draw(store: Store) -> None:
    """Row H9 on the terminal."""
    (spec,) = paper_trials(1)
    evil = TrialSpec(
        job=replace(
            spec.job,
            target_name="[red]\x1b[31mred\n",
            start=Start(checkpoint="[bold]x\x1b[0m", mode="full"),
            weights=Path("w"),
        ),
        data=spec.data,
        weights=None,
    )
    driver = trial_driver([evil, *paper_trials(1, target="other")], store)
    shown = rendered(table_of(driver.view())) + rendered(
        matrix_tables(SweepResult(view=driver.view(), reason=None), width=120)[0]
    )
    driver.started(driver.next_id() or "")
    driver.receive(evil.id, actor_event("a", "beat"))
    shown += rendered(table_of(driver.view()))
    assert "\x1b" not in shown
    assert "[bold]x" in shown


def test_the_live_table_draws_and_leaves_the_screen_clean(halfway: TrialDriver) -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with LiveTable(console) as table:
        assert "starting" in console.file.getvalue()  # type: ignore[attr-defined]
        for _ in range(5):
            table.show(halfway.view())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count("of 4 done") == 2  # once now and once at the end: the others came too soon
    assert "curve" in text


def test_plain_lines_say_each_thing_once(halfway: TrialDriver) -> None:
    lines: list[str] = []
    log = PlainLines(lines.append)
    for _ in range(3):
        log.show(halfway.view())
    assert len(lines) == 4
    assert sum("running" in line and "on 10.0.0.1" in line for line in lines) == 1
    assert sum("failed: out of memory" in line for line in lines) == 1


def test_a_trial_that_waits_for_the_cluster_is_not_said_to_run(store: Store) -> None:
    """Another sweep has every slot, or the trial's node died and no other is free."""
    (spec,) = paper_trials(1)
    driver = trial_driver([spec], store, slots=3)
    lines: list[str] = []
    log = PlainLines(lines.append)

    def look() -> str:
        log.show(driver.view())
        return summary_of(driver.view())

    assert driver.next_id() == spec.id
    assert "0 running on 3 slots · 1 waiting for the cluster" in look()
    assert "waiting for the cluster" in rendered(table_of(driver.view()))
    driver.started(spec.id)
    driver.receive(spec.id, actor_event("a", "beat"))
    assert "1 running on 3 slots · 0 s" in look()
    driver.worker_lost(spec.id, "its node died")
    assert "0 running on 3 slots · 1 waiting" in look()
    driver.started(spec.id)
    driver.receive(spec.id, actor_event("b", "beat"))
    look()
    assert ["running" in line for line in lines] == [True, False, True]
    assert "waiting for the cluster: its node died" in lines[1]


def test_a_summary_names_no_slots_where_no_cluster_was_needed(store: Store) -> None:
    (spec,) = paper_trials(1)
    store.runs.add(finished(spec, [0.1]))
    assert summary_of(trial_driver([spec], store, slots=0).view()).startswith("1 of 1 done · 0 s elapsed")


@pytest.mark.parametrize("width", [40, 80, 140])
def test_no_number_of_the_matrix_is_cut_off(store: Store, width: int) -> None:
    """A log has 140 columns, in which twenty data sets have no room side by side."""
    specs = [spec for number in range(20) for spec in paper_trials(2, target=f"target {number}")]
    driver = trial_driver(specs, store, slots=40)
    for number, spec in enumerate(specs):
        driver.started(driver.next_id() or "")
        run = finished(spec, [0.1 + number // 2 / 100])
        driver.receive(spec.id, actor_event(spec.id, "run", run=run))
    tables = matrix_tables(SweepResult(view=driver.view(), reason=None), width=width)
    text = "".join(rendered(table, width=width) for table in tables)
    assert max(map(len, text.splitlines())) <= width
    assert [f" {0.1 + number / 100:.3f} ± 0.000 " in text for number in range(20)] == [True] * 20


def test_the_scores_are_whole_in_40_columns(halfway: TrialDriver) -> None:
    assert "0.300" in rendered(table_of(halfway.view()), width=40)


def test_lines_tell_settings_apart(store: Store) -> None:
    (spec,) = paper_trials(1)
    recipe = replace(spec.job.recipe, learning_rate=0.003, freeze="stem")
    varied = replace(spec, job=replace(spec.job, recipe=recipe))
    driver = trial_driver([spec, varied], store, clock=Clock(), budget="10m", slots=2)
    for _ in range(2):
        driver.started(driver.next_id() or "")
    assert rendered(table_of(driver.view()), width=200).count(", rate 0.003, frozen up to the stem") == 1


def test_the_matrix_is_the_mean_and_spread_over_seeds(store: Store) -> None:
    specs = [*paper_trials(3), *paper_trials(1, target="other")]
    driver = trial_driver(specs, store, slots=4)
    for spec, best in zip(specs, (0.2, 0.3, None, 0.5), strict=True):
        driver.started(driver.next_id() or "")
        run = failed_run(spec.job, "no") if best is None else finished(spec, [0.1, best, 0.1])
        driver.receive(spec.id, actor_event(spec.id, "run", run=run))
    result = SweepResult(view=driver.view(), reason=None)
    first, other = cells_of(result.trials)
    assert first.score is not None
    assert first.score.mean == pytest.approx(0.25)
    assert first.score.deviation == pytest.approx(0.0707, abs=1e-4)
    assert first.score.seeds == 2
    assert other.score == SeedSpread(mean=0.5, deviation=None, seeds=1)
    (table,) = matrix_tables(result, width=120)
    text = rendered(table)
    assert "0.250 ± 0.071 (2 of 3)" in text
    document = sweep_document(result)
    assert SweepDocument.model_validate_json(document.model_dump_json()) == document
    earlier = document.model_dump_json().replace('"finished"', '"settled"', 1)
    assert SweepDocument.model_validate_json(earlier) == document
    assert document.results[0].score == first.score
    assert document.results[0].errors == ("no",)
    assert document.trials.finished == 3
    assert document.trials.failed == 1
    assert document.ended_early is None


def test_the_count_is_of_the_trials_asked_for(halfway: TrialDriver) -> None:
    assert summary_of(halfway.view(), 3).startswith("2 of 3 done")
    assert summary_of(halfway.view(), 9).startswith("2 of 4 done")
