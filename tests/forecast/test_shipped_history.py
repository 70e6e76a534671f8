"""The built-in history as it is shipped, and the figures that the README tells of it.

Whoever ships other runs or changes the forecast changes the numbers here, and those in README.md and docs/accuracy.md.
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

SHIPPED: dict[Task, tuple[int, int, int]] = {  # runs, targets, checkpoints that are built in
    "detect": (1008, 31, 19),
    "classify": (107, 9, 6),
    "segment": (117, 7, 10),
}
KNEW_THE_IMAGES: dict[Task, int] = {
    "segment": 6
}  # runs of COCO's checkpoints on pictures of COCO, which do not count
FIGURES: dict[Task, dict[str, dict[str, float]]] = {
    "detect": {
        "forecast": {"tau_w": 0.601, "rel_at_1": 0.932, "top_1": 0.387, "interval_coverage": 0.808},
        "static": {"tau_w": 0.520, "rel_at_1": 0.868},
    },
    "classify": {
        "forecast": {"tau_w": 0.494, "rel_at_1": 0.965, "top_1": 0.444, "interval_coverage": 0.780},
        "static": {"tau_w": 0.547, "rel_at_1": 0.982},
    },
    "segment": {
        "forecast": {"tau_w": 0.736, "rel_at_1": 0.958, "top_1": 0.429, "interval_coverage": 0.726},
        "static": {"tau_w": 0.665, "rel_at_1": 0.980},
    },
}
JUDGED: dict[Task, int] = {"detect": 31, "classify": 9, "segment": 7}  # targets with enough starts to rank
TOLERANCE = 0.005


@pytest.mark.parametrize("task", [row.name for row in TASKS])
def test_the_history_of_a_task_is_whole_and_holds_its_runs_alone(task: Task) -> None:
    shipped = history.builtin_history(task)
    counts = len(shipped.runs), len({run.target_hash for run in shipped.runs}), len(shipped.checkpoints)
    assert counts == SHIPPED.get(task, (0, 0, 0))
    assert {run.task for run in shipped.runs} <= {task}
    honest = history.builtin_observations(task)
    assert len(honest) == counts[0] - KNEW_THE_IMAGES.get(task, 0)
    profiles = shipped_profiles.builtin_profiles()
    assert {profiles[run.target_hash].task for run in shipped.runs} <= {task}


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
@pytest.mark.parametrize("task", FIGURES)
def test_the_figures_of_the_backtest(task: Task, home: Path) -> None:
    with Store() as store:
        result = backtest(history.known_history(store, task=task))
    assert len(result.targets) == JUDGED[task]
    for method, figures in FIGURES[task].items():
        for mark, figure in figures.items():
            found = result.mean(method, mark)
            assert found is not None
            assert found.mean == pytest.approx(figure, abs=TOLERANCE), (method, mark)
