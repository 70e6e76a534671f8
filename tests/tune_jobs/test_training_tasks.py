"""Classification and segmentation go through the one training function: metric, best epoch, freezing, resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recommender.checkpoints import export_pt
from recommender.checkpoints.quarantine.__main__ import examine
from recommender.datasets.export import class_folder, write_data_yaml
from recommender.records import Checkpoint, Recipe, Run, Start
from recommender.tasks import task_definition
from tests.checkpoints.kit import NAMES, state_of
from tune_jobs.training import TrainingJob, prepare_environment, train
from tune_jobs.training.job import BEST_WEIGHTS, STATE_FILE
from tune_jobs.training.resume import load_state

COLOURS = ((220, 40, 40), (40, 200, 60), (50, 60, 220))
CLASSES = ("red", "glove", "blue")  # one of which the start knows, at another place


def draw(folder: Path, *, outlines: bool) -> Path:
    """Squares of one colour a class, in the form of our exports: folders of classes, or outlines."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6)):
        for kind in ("images", "labels") if outlines else ():
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            label = number % len(CLASSES)
            pixels = rng.integers(0, 60, (48, 64, 3), dtype=np.uint8)
            left, top = rng.integers(2, 20, 2).tolist()
            pixels[top : top + 24, left : left + 24] = COLOURS[label]
            if not outlines:
                place = folder / split / class_folder(label, CLASSES[label])
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(place / f"{number:03d}.png")
                continue
            Image.fromarray(pixels).save(folder / "images" / split / f"{number:03d}.png")
            x1, y1, x2, y2 = left / 64, top / 48, (left + 24) / 64, (top + 24) / 48
            row = f"{x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2}"
            (folder / "labels" / split / f"{number:03d}.txt").write_text(f"{label} {row}\n", encoding="ascii")
    write_data_yaml(folder, CLASSES, ("train", "val"))
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prepare_environment()
    return draw(tmp_path_factory.mktemp("photos"), outlines=False)


def job_of(data: Path, output: Path, architecture: str, mode: str, **changes: Any) -> TrainingJob:
    from safetensors.torch import save_file

    weights = None
    if mode != "scratch":
        weights = output.parent / "start.safetensors"
        weights.parent.mkdir(parents=True, exist_ok=True)
        save_file(state_of(architecture), weights)
    return TrainingJob(
        **{
            "data": data,
            "output": output,
            "start": Start(checkpoint="scratch" if weights is None else "start", mode=mode),  # type: ignore[arg-type]
            "architecture": architecture,
            "recipe": Recipe(epochs=2, imgsz=32, batch=4),
            "kind": "full",
            "target_hash": "t" * 64,
            "target_name": "drawn",
            "weights": weights,
            "class_names": None if weights is None else NAMES,
            "keep": True,
            "half": False,
        }
        | changes
    )


@pytest.mark.slow
def test_a_classifier_trains_and_its_run_says_so(photos: Path, tmp_path: Path) -> None:
    run = train(job_of(photos, tmp_path / "out", "yolov8n-cls", "full"))
    assert (run.status, run.error, run.task) == ("succeeded", None, "classify")
    assert [point.epoch for point in run.curve] == [1, 2]
    assert run.best == max(run.curve, key=lambda point: (point.score, point.epoch))
    assert run.best is not None
    assert run.best.score in [pytest.approx(right / 6, abs=1e-5) for right in range(7)]
    assert run.best.details == {"top5": 1.0}  # of three classes
    assert 0.99 < (run.weights_transferred or 0.0) < 1.0  # but for the rows of the unknown classes
    assert run.starting_score is None, "of one known class nothing can be told"


@pytest.mark.slow
def test_a_frozen_classifier_moves_its_head_alone_statistics_too(photos: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    job = job_of(photos, tmp_path / "out", "yolov8n-cls", "freeze")
    assert train(job).status == "succeeded"
    before, after = state_of("yolov8n-cls"), load_file(job.output / BEST_WEIGHTS)
    changed = {
        int(key.split(".")[1])
        for key, tensor in before.items()
        if not key.endswith("num_batches_tracked") and "linear" not in key and not tensor.equal(after[key])
    }
    assert changed == {9}  # the head; its convolution too


def test_classes_go_by_name_not_by_place(photos: Path, tmp_path: Path) -> None:
    """The start's classes lie in another order: the row of the shared one moves to where the data set has it."""
    import torch

    from recommender.checkpoints import build_model, transfer

    assert NAMES.index("glove") != CLASSES.index("glove")
    model, state = build_model("yolov8n-cls", 3), state_of("yolov8n-cls")
    transfer(state, NAMES, model, CLASSES)
    rows = model.state_dict()["model.9.linear.weight"]
    assert torch.equal(rows[CLASSES.index("glove")], state["model.9.linear.weight"][NAMES.index("glove")])


@pytest.mark.slow
def test_an_interrupted_classification_goes_on_as_if_it_never_stopped(photos: Path, tmp_path: Path) -> None:
    def run(name: str, **options: Any) -> Run:
        job = job_of(photos, tmp_path / name / "out", "yolov8n-cls", "scratch", resumable=True)
        return train(job, **options)

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", on_epoch=_stop_dead)
    job = job_of(photos, tmp_path / "cut" / "out", "yolov8n-cls", "scratch", resumable=True)
    state = load_state(job.output / STATE_FILE, job.run_id)
    assert state is not None
    # An early stop goes by the score too, not by ultralytics' mean of it and the top-5 accuracy, which is 1 here.
    assert state["best_fitness"] == state["stopper"][0] == whole.curve[0].score < 1.0
    resumed = run("cut")
    assert "resumed after epoch 1" in resumed.notes
    assert [(p.epoch, p.score) for p in resumed.curve] == [(p.epoch, p.score) for p in whole.curve]


def _stop_dead(_point: object) -> bool:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_what_was_trained_is_exported_with_its_task(photos: Path, tmp_path: Path) -> None:
    from tune_jobs.compare.scoring import load_trained, validate

    job = job_of(photos, tmp_path / "out", "yolov8n-cls", "scratch")
    run = train(replace(job, recipe=replace(job.recipe, epochs=1)))
    score, guesses = validate(
        load_trained(job.output / BEST_WEIGHTS).eval(), photos, "val", imgsz=32, device="cpu"
    )
    assert run.best is not None
    assert (score.score, score.details) == (run.best.score, run.best.details)
    assert len(guesses) == 6
    assert all(len(boxes) == 1 for boxes in guesses.values())  # one guess an image, around the whole of it
    checkpoint = Checkpoint(
        name="mine", origin="registry", architecture="yolov8n-cls", family="yolov8-cls", class_names=CLASSES,
        sha256=_sha256(job.output / BEST_WEIGHTS), path=job.output / BEST_WEIGHTS, task="classify",
    )  # fmt: skip
    file = export_pt(checkpoint, tmp_path / "mine.pt")
    tensors, facts = examine(file, tmp_path)
    assert (facts["class_names"], facts["task"]) == (list(CLASSES), "classification")
    assert tensors["model.9.linear.weight"].shape[0] == 3


def _sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_segmenter_trains_with_masks_and_boxes_counted_apart(tmp_path: Path) -> None:
    from tune_jobs.compare.scoring import load_trained, validate

    data = draw(tmp_path / "data", outlines=True)
    job = job_of(data, tmp_path / "out", "yolo11n-seg", "freeze", class_names=CLASSES)
    run = train(replace(job, recipe=replace(job.recipe, epochs=1, imgsz=64)))
    assert (run.status, run.error, run.task) == ("succeeded", None, "segment")
    assert run.best is not None
    assert set(run.best.details) == {metric.name for metric in task_definition("segment").details}
    assert run.starting_score is not None
    model = load_trained(job.output / BEST_WEIGHTS).eval()
    score, _ = validate(model, data, "val", imgsz=64, device="cpu")
    assert (score.score, score.details) == (run.best.score, run.best.details)
