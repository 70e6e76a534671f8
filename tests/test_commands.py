"""The printed commands do what the forecast is about, and do it a second time as well."""

from __future__ import annotations

import csv
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.checkpoints import zoo
from recommender.command_line import reading_options, train_command, yolo_command
from recommender.datasets import open_dataset
from recommender.errors import ConflictError
from recommender.forecast.situation import Situation
from recommender.records import SCRATCH, Budget, Evidence, Mode, Start
from recommender.report.runs import repeat_command
from recommender.requests import RecommendRequest, TrainingRequest
from recommender.training_recipe import recipe_of
from tests.datagen import make_dataset
from tests.forecast.builders import profile
from tests.processes import run_command
from tests.store.builders import run as stored_run
from tests.store.builders import training_job
from tune_jobs.training import prepare_environment

NOT_THE_RECIPE = {"model", "data", "save_dir", "device", "freeze", "pretrained"}


def situation(mode: Mode, budget: Budget) -> Situation:
    """COCO, or random weights, on some target."""
    coco = next(found for found in zoo() if found.name == "coco-yolo11n")
    return Situation(
        target=profile("target", 0.0),
        num_train_images=10,
        budget=budget,
        start=Start(checkpoint=SCRATCH if mode == "scratch" else coco.name, mode=mode),
        checkpoint=None if mode == "scratch" else coco,
        source=None,
        evidence=Evidence(),
    )


def options_of(command: str) -> dict[str, str]:
    """The settings in the `yolo` part of a command."""
    return dict(word.split("=", 1) for word in shlex.split(command.split(" && ")[-1]) if "=" in word)


@pytest.mark.parametrize("mode", ["full", "freeze", "scratch"])
def test_the_yolo_command_trains_the_recipe_of_our_own_training(mode: Mode, tmp_path: Path) -> None:
    prepare_environment()  # before ultralytics is loaded
    from tune_jobs.training.trainer import trainer_arguments

    budget = Budget(epochs=30, imgsz=320)
    asked = situation(mode, budget)
    data = make_dataset(tmp_path / "data", images=8)
    said = options_of(yolo_command(asked, open_dataset(data), str(data), scratch="yolov8n"))
    request = TrainingRequest.model_validate(
        {"dataset": str(data), "start": str(asked.start), "epochs": 30, "imgsz": 320}
    )
    job = training_job(data, output=tmp_path, start=asked.start, recipe=recipe_of(request))
    ours = trainer_arguments(job, save_dir=str(tmp_path), freeze=11 if mode == "freeze" else None)
    shared = set(said) - NOT_THE_RECIPE
    assert {
        "optimizer",
        "lr0",
        "batch",
        "nbs",
        "warmup_epochs",
        "warmup_bias_lr",
        "seed",
        "patience",
    } <= shared
    assert {name: str(ours[name]) for name in shared} == {
        name: str(type(ours[name])(said[name])) for name in shared
    }
    assert said.get("freeze") == ("11" if mode == "freeze" else None)
    assert said.get("pretrained") == ("False" if mode == "scratch" else None)
    assert (said["model"] == "yolov8n.yaml") == (mode == "scratch")


def test_our_own_command_names_only_what_differs_from_the_defaults() -> None:
    start = Start(checkpoint="coco-yolo11n", mode="freeze")
    plain = train_command(start, Budget(epochs=100, imgsz=640), "my data", scratch="yolov8n")
    assert plain == "recommend train --dataset 'my data' --start coco-yolo11n:freeze"
    assert train_command(start, Budget(epochs=20, imgsz=640), "d", scratch="yolov8n").endswith(
        ":freeze --epochs 20"
    )


def test_commands_read_the_data_as_the_question_did(tmp_path: Path) -> None:
    request = RecommendRequest.model_validate(
        {"dataset": "d", "task": "segment", "allow_roots": ["/more pictures"]}
    )
    reading = reading_options(request)
    budget = Budget(epochs=100, imgsz=640)
    ours = train_command(
        Start(checkpoint="coco", mode="full"), budget, "d", scratch="yolov8n", reading=reading
    )
    data = make_dataset(tmp_path / "data", images=8, format="coco", size=(64, 64))
    theirs = yolo_command(
        situation("full", budget), open_dataset(data), str(data), scratch="yolov8n", reading=reading
    )
    for line in (ours, theirs):
        assert " --task segment --allow-root '/more pictures'" in line


def test_a_recorded_run_is_repeated_with_its_task_and_classes() -> None:
    run = stored_run()
    recipe = replace(run.recipe, class_map=(("kite", "bird"), ("my dog", "dog")))
    run = replace(run, task="segment", recipe=recipe)
    assert "--task segment " in repeat_command(run)
    assert "--map kite=bird --map 'my dog=dog' --again" in repeat_command(run)


def test_a_recorded_run_is_repeated_on_as_many_gpus() -> None:
    run = stored_run()
    four = replace(run.environment, device="cuda:0", num_processes=4)
    unknown = replace(run.environment, hardware="unknown")
    assert " --gpus 0 " in repeat_command(run)
    assert f" --cpus {4 * run.environment.num_threads} --gpus 4 " in repeat_command(
        replace(run, environment=four)
    )
    assert "--gpus" not in repeat_command(replace(run, environment=unknown))


@pytest.mark.slow
def test_the_yolo_command_runs_as_printed_twice(tmp_path: Path) -> None:
    """Both exports are found again the second time, and the rate is the recipe's, not ultralytics' own choice."""
    data = make_dataset(tmp_path / "data", images=8, format="coco", size=(64, 64))
    line = yolo_command(
        situation("full", Budget(epochs=1, imgsz=32)), open_dataset(data), str(data), scratch="yolov8n"
    )
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": programs,
        "RECOMMENDER_HOME": str(tmp_path / "home"),
        "YOLO_CONFIG_DIR": str(tmp_path),
        "YOLO_OFFLINE": "true",
        "OMP_NUM_THREADS": "1",
    }
    line += f" device=cpu workers=0 plots=False project={tmp_path / 'runs'}"
    for _ in range(2):
        run_command("bash", "-c", line, env=environment, cwd=tmp_path, timeout_s=600)
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    with (runs[0] / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["lr/pg0"]) <= 1e-3


@pytest.mark.slow
def test_an_equal_export_is_left_alone_and_another_file_is_not_lost(tmp_path: Path) -> None:
    from recommender.checkpoints import export_pt

    coco = next(found for found in zoo() if found.name == "coco-yolo11n")
    file = export_pt(coco, tmp_path / "coco.pt")
    first = file.read_bytes()
    assert export_pt(coco, file).read_bytes() == first
    file.write_bytes(b"mine")
    with pytest.raises(ConflictError, match="another file"):
        export_pt(coco, file)
    assert file.read_bytes() == b"mine"
    assert [left.name for left in tmp_path.iterdir()] == ["coco.pt"]
