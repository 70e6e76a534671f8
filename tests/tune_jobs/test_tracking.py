"""Trainings reported to MLflow where its variable is set; the real library writes to a local folder."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from recommender.records import EpochMetrics
from tests.processes import PYTHON, run_command
from tests.tune_jobs.training_kit import make_job
from tune_jobs.training.tracking import PROJECT, Tracking

POINTS = [EpochMetrics(epoch=i, score=i / 10, details={"map50": i / 5}, seconds=float(i)) for i in (1, 2, 3)]


@pytest.fixture(autouse=True)
def nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_is_reported_unless_asked_for(tmp_path: Path) -> None:
    tracking = Tracking(make_job(tmp_path / "data", tmp_path / "out"))
    tracking.log(POINTS[0])
    tracking.end("succeeded")
    assert tracking.notes == []


@pytest.mark.slow  # importing mlflow takes seconds
@pytest.mark.filterwarnings("ignore")  # mlflow's own
def test_mlflow_holds_the_curve_the_start_and_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    import mlflow

    store = f"file:{tmp_path / 'runs'}"
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    job = make_job(tmp_path / "data", tmp_path / "out")
    tracking = Tracking(job)
    for point in POINTS:
        tracking.log(point)
    tracking.end("succeeded")
    assert tracking.notes == []
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name(PROJECT)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["start"] == str(job.start)
    assert run.data.params["epochs"] == str(job.recipe.epochs)
    found = client.get_metric_history(run.info.run_id, "map50_95")
    assert [(point.step, point.value) for point in found] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert run.info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_tracker_out_of_reach_fails_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'file'}")
    tracking = Tracking(make_job(tmp_path / "data", tmp_path / "out"))
    tracking.log(POINTS[0])
    tracking.end("failed")
    assert len(tracking.notes) == 1
    assert "mlflow" in tracking.notes[0]


@pytest.mark.slow  # importing mlflow takes seconds
def test_a_sweep_lets_no_tracker_phone_home(tmp_path: Path) -> None:
    """Ray Tune imports MLflow where it is installed, to count the callbacks of its own that are used."""
    pytest.importorskip("mlflow")
    code = """
        from tune_jobs.sweep.tuning import _tune_settings
        with _tune_settings():
            from ray.air._internal.usage import tag_callbacks
            tag_callbacks([object()])
            import mlflow.telemetry
            print(mlflow.telemetry.get_telemetry_client())
    """
    outside_ci = {
        name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_CURRENT_TEST")
    }
    done = run_command(*PYTHON, textwrap.dedent(code), env={**outside_ci, "HOME": str(tmp_path)})
    assert done.stdout.split() == ["None"]
    assert not list(tmp_path.rglob("telemetry.json"))
