"""`recommend compare` end to end on drawn pictures: trained, scored, reported, and never trained twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recommender.datasets import open_dataset
from recommender.errors import NotFoundError, UsageError
from recommender.records import Start
from recommender.requests import CompareRequest
from recommender.store import Store
from tests.datagen import make_dataset
from tests.test_classification import draw_classes
from tests.tune_jobs.sweep_kit import COCO, tiny_dataset
from tune_jobs.compare import run as running
from tune_jobs.compare.planning import entries_of, held_out_split, plan_runs
from tune_jobs.compare.run import trainings_ahead


def asked(**options: object) -> CompareRequest:
    """A request with these options, the rest as they come."""
    return CompareRequest.model_validate({"dataset": ".", **options})


def with_test_split(folder: Path) -> Path:
    """Six pictures to train, two to validate, two held back."""
    data = make_dataset(folder / "user", images=8, size=(64, 64), boxes=1)
    other = make_dataset(folder / "other", images=8, size=(64, 64), boxes=1, seed=9)
    for kind in ("images", "labels"):
        shutil.copytree(other / kind / "val", data / kind / "test")
    with (data / "data.yaml").open("a", encoding="utf-8") as file:
        file.write("\ntest: images/test\n")
    return data


def test_test_split_where_there_is_one(home: Path, tmp_path: Path) -> None:
    folder = with_test_split(tmp_path)
    held_back, plain = open_dataset(folder), tiny_dataset(tmp_path / "plain")
    assert held_out_split(asked(), held_back) == "test"
    assert held_out_split(asked(test="val"), held_back) == "val"
    assert held_out_split(asked(), plain) == "val"
    with pytest.raises(UsageError, match="has no test split"):
        held_out_split(asked(test="test"), plain)
    for file in (folder / "labels" / "test").iterdir():
        file.write_text("")
    unlabelled = open_dataset(folder)
    assert unlabelled.of_split("test")
    assert held_out_split(asked(), unlabelled) == "val"
    with pytest.raises(UsageError, match="no labels on its test images"):
        held_out_split(asked(test="test"), unlabelled)


def test_starts_by_name_alias_and_mode(home: Path) -> None:
    request = asked(starts=("scratch", "coco", "coco:freeze", "coco:full"))
    with Store() as store:
        found = entries_of(request, store, "detect")
        names = {str(entry.start) for entry in found}
        assert names == {"scratch", "coco-yolo11n:full", "coco-yolo11n:freeze"}
        assert len(found) == 3  # the same start twice is one
        assert {entry.architecture for entry in found} == {"yolo11n"}
        for text, error in (
            ("nobody:full", NotFoundError),
            ("coco:thaw", UsageError),
            ("scratch:full", UsageError),
        ):
            with pytest.raises(error):
                entries_of(asked(starts=(text,)), store, "detect")


def test_an_architecture_of_another_task_is_refused(home: Path) -> None:
    with Store() as store:
        with pytest.raises(UsageError, match="yolo11n is no image classifier"):
            entries_of(asked(starts=("scratch",), architecture="yolo11n"), store, "classify")
        with pytest.raises(UsageError, match="not a shipped architecture"):
            entries_of(asked(starts=("scratch",), architecture="yolo99n"), store, "classify")


@pytest.mark.slow
def test_the_plan_told_before_anything_is_trained_names_what_will_be(home: Path, tmp_path: Path) -> None:
    from recommender.cli.compare import _plan_line

    told: list[str] = []

    def decline(planned: CompareRequest, notices: object, trainings: int, cost: str) -> None:
        told.append(_plan_line(planned, trainings, cost))
        raise InterruptedError

    data = draw_classes(tmp_path / "kinds", images=6)
    with Store() as store, pytest.raises(InterruptedError):
        running.compare(
            asked(dataset=str(data), starts=("scratch", "imagenet")), store=store, on_plan=decline
        )
    assert told[0].startswith("6 trainings to run: 2 starts, 3 seeds, up to 100 epochs at 224 px: ")


def test_learning_rates_are_tried_once_and_the_rest_waits(home: Path, tmp_path: Path) -> None:
    request = asked(
        starts=("scratch", "coco"),
        seeds=2,
        fractions=(0.5, 1.0),
        learning_rates=("default", 1e-4),
        batch=2,
    )
    with Store() as store:
        explored, rest = plan_runs(request, tiny_dataset(tmp_path), entries_of(request, store, "detect"))
    recipes = [spec.job.recipe for spec in explored]
    assert {(r.seed, r.fraction) for r in recipes} == {(0, 1.0)}
    assert [r.learning_rate for r in recipes] == [None, 1e-4] * 2
    assert len(rest) == 2 * 2 * 4 - 4
    assert len({spec.id for spec in (*explored, *rest)}) == 16
    known = {spec.id for spec in rest if spec.job.recipe.learning_rate is None}
    assert len(trainings_ahead((explored, rest), lambda spec: True)) == 4 + 6
    assert len(trainings_ahead(((), rest), lambda spec: spec.id not in known)) == 6  # the other rate may win
    scratch = Start(checkpoint="scratch", mode="scratch")
    used = {spec.job.start == scratch: spec.job.recipe.normalisation for spec in rest}
    assert used == {True: "group", False: "batch"}  # two images at a time are too few for batch norm


@pytest.mark.slow
@pytest.mark.ray
def test_compare_trains_scores_reports_and_goes_on(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recommender.cli.app import run

    data = with_test_split(tmp_path)
    label = next((data / "labels" / "train").iterdir())
    label.write_text(label.read_text() + "\n0 0.95 0.5 0.3 0.3\n")  # over the edge
    out = tmp_path / "out"
    command = ["compare", "--dataset", str(data), "--start", "scratch", "--start", f"{COCO}:freeze"]
    command += [
        "--seeds",
        "1",
        "--yes",
        "--fractions",
        "0.5",
        "--epochs",
        "1",
        "--imgsz",
        "64",
        "--batch",
        "3",  # random sizes leave single values at 64 px, of which batch norm needs more than one image
    ]
    command += ["--confidence", "0.05", "--out", str(out), "--json", "--tta", "--multi-scale"]
    assert run(command) == 0
    printed = capsys.readouterr()
    first = json.loads(printed.out)
    assert "label_clipped" in {warning["code"] for warning in first["warnings"]}
    assert "label clipped" in printed.err.replace("_", " ")
    assert first["asked"]["scored_on"] == "test"
    assert {(row["mode"], row["fraction"]) for row in first["table"]} == {
        ("scratch", 0.5),
        ("freeze", 0.5),
    }
    assert {row["train_images"] for row in first["table"]} == {3}
    assert (first["asked"]["tta"], first["asked"]["multi_scale"]) == (True, 0.5)
    frozen_row = next(row for row in first["table"] if row["mode"] == "freeze")
    assert 0.0 <= frozen_row["tta"]["mean"] <= 1.0
    with Store() as store:
        (trained,) = (one for one in store.runs.list() if one.id in frozen_row["runs"])
        assert trained.recipe.multi_scale == 0.5
        assert "images resized at random by up to 50% of 64 px" in trained.notes
    assert {curve["normalisation"] for curve in first["curves"] if curve["start"] == "scratch"} == {"group"}
    frozen = next(mode for mode in first["modes"] if mode["start"] != "scratch")
    assert 0.2 < frozen["trainable"] < 0.8
    assert frozen["backbone_transferred"] == 1.0
    assert len(first["forecast"]["rows"]) == 2
    assert (out / "report.html").stat().st_size > 10_000

    # Again: nothing is trained, no cluster is started, and the forecast is the one made before the runs.
    def no_cluster(*arguments: object, **options: object) -> None:
        raise AssertionError("a training was asked for")

    monkeypatch.setattr("tune_jobs.sweep.run.connect", no_cluster)
    for weights in (home / "trained").iterdir():
        weights.unlink()  # scored already, so they are not needed any more
    assert run([*command, "--address", "127.0.0.1:1"]) == 0  # of a cluster that has ended since
    assert json.loads(capsys.readouterr().out) == first
    # What was scored is gone as well: then the weights are wanted, and only a training brings them.
    next((home / "evaluations").iterdir()).unlink()
    with Store() as store, pytest.raises(AssertionError, match="a training was asked for"):
        running.compare(_request(data), store=store)


def _request(data: Path) -> CompareRequest:
    return asked(
        dataset=str(data),
        starts=("scratch", f"{COCO}:freeze"),
        seeds=1,
        fractions=(0.5,),
        epochs=1,
        imgsz=64,
        batch=3,
        confidence=0.05,
        tta=True,
        multi_scale=True,
    )


def test_a_wall_budget_keeps_time_for_scoring_and_device_time_is_for_training_alone() -> None:
    from tune_jobs.compare.run import SCORING_SHARE, _for_training
    from tune_jobs.sweep.compute_budget import ComputeBudget

    assert ComputeBudget.parse(_for_training("10m")).limit_s == pytest.approx(600 * (1 - SCORING_SHARE))
    assert _for_training("2gpu-h") == "2gpu-h"
    assert _for_training(None) is None
