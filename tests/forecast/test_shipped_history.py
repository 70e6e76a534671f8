"""The built-in history as it is shipped, and the figures that the README tells of it.

Whoever ships other runs or changes the forecast changes the numbers here, and those in README.md and docs/forecast.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from recommender.errors import StorageError
from recommender.forecast import history
from recommender.forecast.backtest import backtest
from recommender.profile import shipped as shipped_profiles
from recommender.store import Store
from recommender.tasks import TASKS, Task

SHIPPED = ("detect", "classify")  # tasks of which runs are built in
NUM_RUNS, NUM_TARGETS, NUM_CHECKPOINTS = 442, 25, 17
FORECAST = {"tau_w": 0.644, "rel_at_1": 0.939, "top_1": 0.44, "interval_coverage": 0.849}
STATIC = {"tau_w": 0.547, "rel_at_1": 0.886}
TOLERANCE = 0.005


def test_the_shipped_history_is_whole() -> None:
    shipped = history.builtin_history("detect")
    assert len(shipped.runs) == NUM_RUNS
    assert len({run.target_hash for run in shipped.runs}) == NUM_TARGETS
    assert len(shipped.checkpoints) == NUM_CHECKPOINTS
    assert {run.target_hash for run in shipped.runs} <= set(shipped_profiles.builtin_profiles())


@pytest.mark.parametrize("task", [row.name for row in TASKS])
def test_the_history_of_a_task_holds_its_runs_alone(task: Task) -> None:
    shipped = history.builtin_history(task)
    assert {run.task for run in shipped.runs} <= {task}
    profiles = shipped_profiles.builtin_profiles()
    assert {profiles[run.target_hash].task for run in shipped.runs} <= {task}
    assert bool(shipped.runs) == (task in SHIPPED)


@pytest.mark.parametrize("damage", ["absent", "truncated"])
def test_a_missing_history_is_an_error(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = history.builtin_file("detect")
    monkeypatch.setattr(history, "FOLDER", tmp_path)
    if damage == "truncated":
        history.builtin_file("detect").write_bytes(shipped.read_bytes()[:5000])
    history.builtin_history.cache_clear()
    with pytest.raises(StorageError, match="Install the package again"):
        history.builtin_history("detect")
    history.builtin_history.cache_clear()


def test_missing_profiles_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_profiles, "FOLDER", tmp_path)
    shipped_profiles.builtin_profiles.cache_clear()
    with pytest.raises(StorageError, match="Install the package again"):
        shipped_profiles.builtin_profiles()
    shipped_profiles.builtin_profiles.cache_clear()


@pytest.mark.slow
def test_the_figures_of_the_backtest(home: Path) -> None:
    with Store.open_default() as store:
        result = backtest(history.known_history(store))
    assert len(result.targets) == NUM_TARGETS
    for method, figures in (("forecast", FORECAST), ("static", STATIC)):
        for mark, figure in figures.items():
            found = result.mean(method, mark)
            assert found is not None
            assert found.mean == pytest.approx(figure, abs=TOLERANCE), (method, mark)
