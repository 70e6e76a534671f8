"""Real trainings of a few seconds on a drawn data set."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from recommender.errors import IntegrityError, UsageError
from recommender.records import EpochMetrics, Run
from tests.conftest import ROOT
from tests.processes import PYTHON, run_command
from tests.tune_jobs.training_kit import COCO, make_export, make_job, tree_hash, untimed
from tune_jobs.training import TrainingJob, prepare_environment, train
from tune_jobs.training.job import BEST_WEIGHTS, STATE_FILE

JobMaker = Callable[..., TrainingJob]


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """The exported data set and the folder that every test here starts from."""

    folder: Path
    data: Path

    def job(self, name: str, *, mode: str = "full", **changes: Any) -> TrainingJob:
        return make_job(self.data, self.folder / "out" / name, mode=mode, **changes)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> TrainingSetup:
    folder = tmp_path_factory.mktemp("training")
    prepare_environment()  # before a test imports the trainer
    return TrainingSetup(folder=folder, data=make_export(folder))


@pytest.fixture(scope="module")
def full_run(bench: TrainingSetup) -> Run:
    return train(bench.job("full", keep=True, half=False))


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / BEST_WEIGHTS if folder.is_dir() else folder)


def torch_equal(one: Any, other: Any) -> bool:
    return one.shape == other.shape and bool((one == other).all())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["full", "freeze"])
def test_rtdetr_trains_like_a_yolo(bench: TrainingSetup, mode: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from tests.checkpoints.kit import NAMES, state_of

    start = state_of("yolov8n-rtdetr")
    save_file(start, tmp_path / "start.safetensors")
    job = bench.job(
        f"rtdetr-{mode}",
        mode=mode,
        architecture="yolov8n-rtdetr",
        weights=tmp_path / "start.safetensors",
        class_names=NAMES,
        epochs=1,
        imgsz=64,
        keep=True,
        half=False,
    )
    run = train(job)
    assert (run.status, run.error, len(run.curve)) == ("succeeded", None, 1)
    after = tensors(job.output)
    layers = [
        int(key.split(".")[1]) for key in start if key in after and not torch_equal(start[key], after[key])
    ]
    assert (min(layers) >= 10) == (mode == "freeze")  # its description's backbone has ten layers


def test_layers_that_would_stay_random_are_not_frozen(bench: TrainingSetup, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(
        {key: value for key, value in tensors(COCO).items() if int(key.split(".")[1]) < 9},
        tmp_path / "classifier.safetensors",
    )
    job = bench.job("frozen", mode="freeze", weights=tmp_path / "classifier.safetensors")
    with pytest.raises(UsageError, match=r"9 \(SPPF\), 10 \(C2PSA\)"):
        train(job)
    assert not list(job.output.iterdir())


@pytest.mark.slow
def test_the_rows_of_a_mapped_class_reach_the_model(bench: TrainingSetup) -> None:
    from tune_jobs.training.dataset import read_data_yaml

    plain = train(bench.job("plain", epochs=1))
    mine = read_data_yaml(bench.data)["names"][0]
    told = train(bench.job("told", epochs=1, class_map=((mine, "car"),)))
    assert plain.starting_score is None  # none of its classes is known to COCO
    assert told.starting_score is not None
    assert (told.weights_transferred or 0) > (plain.weights_transferred or 0)


def test_a_run_says_all_there_is_to_know(bench: TrainingSetup, full_run: Run) -> None:
    assert full_run.status == "succeeded"
    assert [point.epoch for point in full_run.curve] == [1, 2, 3], "the final evaluation is no epoch"
    assert full_run.best == max(full_run.curve, key=lambda point: (point.score, point.epoch))
    assert (full_run.optimizer_used, full_run.learning_rate_used) == ("AdamW", 5e-3)
    assert (full_run.batch_used, full_run.num_train_images) == (4, 12)
    assert full_run.best is not None
    assert full_run.best.score > 0.05, "it learns, or the tests below say little"
    assert full_run.weights_transferred is not None
    assert full_run.weights_transferred > 0.9
    assert full_run.starting_score is None, "no class of the checkpoint is one of the target"
    assert full_run.peak_memory_mb is not None
    assert full_run.peak_memory_mb > 100
    assert full_run.environment.versions["ultralytics"]
    assert full_run.seconds >= full_run.curve[-1].seconds > full_run.curve[0].seconds > 0
    assert full_run.id == bench.job("elsewhere").run_id
    assert full_run.weights_sha256 == hashlib.sha256(COCO.read_bytes()).hexdigest()


def test_a_kept_run_leaves_its_weights_alone(bench: TrainingSetup, full_run: Run) -> None:
    assert [path.name for path in (bench.folder / "out/full").iterdir()] == [BEST_WEIGHTS]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(bench: TrainingSetup, full_run: Run) -> None:
    again = train(bench.job("again", keep=True, half=False))
    assert untimed(again.curve) == untimed(full_run.curve)
    first, second = tensors(bench.folder / "out/full"), tensors(bench.folder / "out/again")
    assert all(first[name].equal(second[name]) for name in first)


@pytest.mark.slow
def test_another_seed_gives_another_run(bench: TrainingSetup, full_run: Run) -> None:
    other = train(bench.job("other", keep=True, half=False, seed=1))
    first, second = tensors(bench.folder / "out/full"), tensors(bench.folder / "out/other")
    assert other.id != full_run.id
    assert not all(first[name].equal(second[name]) for name in first)


@pytest.mark.slow
def test_a_worn_process_trains_as_a_fresh_one(bench: TrainingSetup, full_run: Run) -> None:
    """Workers are reused from run to run, so nothing of one may reach the next."""
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.tune_jobs.training_kit import make_job\nfrom tune_jobs.training import train\n"
        "from recommender.store.records_json import encode\n"
        "print(encode(train(make_job(Path(sys.argv[1]), Path(sys.argv[2])))))"
    )
    command = (*PYTHON, code, bench.data, bench.folder / "out/fresh")
    done = run_command(*command, cwd=ROOT, PYTHONWARNINGS="ignore")
    points = [EpochMetrics(**point) for point in json.loads(done.stdout)["curve"]]
    assert untimed(tuple(points)) == untimed(full_run.curve), done.stderr


@pytest.mark.slow
def test_freezing_leaves_the_backbone_bit_by_bit(bench: TrainingSetup, full_run: Run) -> None:
    run = train(bench.job("freeze", mode="freeze", epochs=1, keep=True, half=False, learning_rate=None))
    given, frozen = tensors(COCO), tensors(bench.folder / "out/freeze")
    given = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in given.items()}
    full = tensors(bench.folder / "out/full")
    backbone = [name for name in given if int(name.split(".")[1]) <= 10]
    assert any("running_var" in name for name in backbone)
    assert all(frozen[name].equal(given[name]) for name in backbone)
    assert not frozen["model.16.cv1.conv.weight"].equal(given["model.16.cv1.conv.weight"])
    assert not full["model.0.conv.weight"].equal(given["model.0.conv.weight"])
    assert not full["model.0.bn.running_mean"].equal(given["model.0.bn.running_mean"])
    assert run.learning_rate_used == 2e-3


@pytest.mark.parametrize(
    ("mode", "depth", "layers"),
    [("full", "stem", 2), pytest.param("freeze", "neck", 23, marks=pytest.mark.slow)],
)
@pytest.mark.slow
def test_other_depths_freeze_just_those_layers(
    bench: TrainingSetup, mode: str, depth: str, layers: int
) -> None:
    run = train(bench.job(f"frozen-{depth}", mode=mode, freeze=depth, epochs=1, keep=True, half=False))
    given, after = tensors(COCO), tensors(bench.folder / f"out/frozen-{depth}")
    moved = [key for key in given if key in after and given[key].shape == after[key].shape]
    moved = [key for key in moved if not after[key].equal(given[key].to(after[key].dtype))]
    assert min(int(key.split(".")[1]) for key in moved) == layers
    assert run.recipe.freeze == depth


@pytest.mark.slow
def test_a_trial_is_the_beginning_of_the_full_run(bench: TrainingSetup, full_run: Run) -> None:
    """Same schedule of learning rate and augmentation: its curve is a prefix, to the last digit."""
    trial = train(bench.job("trial", epochs=3, schedule_epochs=5))
    full = train(bench.job("long", epochs=5))
    assert untimed(trial.curve) == untimed(full.curve)[:3]
    assert untimed(full_run.curve) != untimed(trial.curve), "a schedule of its own is another training"
    assert trial.notes == ("stopped after 3 epochs of a schedule of 5",)


@pytest.mark.slow
def test_the_caller_can_stop_it(bench: TrainingSetup) -> None:
    seen: list[int] = []

    def stop_after_two(point: EpochMetrics) -> bool:
        seen.append(point.epoch)
        return point.epoch < 2

    run = train(bench.job("stopped", epochs=5), on_epoch=stop_after_two)
    assert (run.status, seen, len(run.curve)) == ("stopped", [1, 2], 2)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_fails_the_run(
    bench: TrainingSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row R9: the run is failed, and what came before is kept."""
    from tune_jobs.training.trainer import DetectRun

    original = DetectRun.preprocess_batch

    def break_in_the_second_epoch(self: Any, batch: dict[str, Any]) -> Any:
        batch = original(self, batch)
        if self.epoch == 1:
            batch["img"] *= float("nan")
        return batch

    monkeypatch.setattr(DetectRun, "preprocess_batch", break_in_the_second_epoch)
    run = train(bench.job("nan"))
    assert run.status == "failed"
    assert run.error is not None
    assert "not finite in epoch 2" in run.error
    assert [point.epoch for point in run.curve] == [1]


@pytest.mark.slow
def test_weights_that_are_not_numbers_fail_the_run(bench: TrainingSetup, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(COCO)
    state["model.0.conv.weight"][:] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    run = train(replace(bench.job("nan-weights"), weights=tmp_path / "nan.safetensors"))
    assert (run.status, run.curve) == ("failed", ())


@pytest.mark.slow
def test_only_the_output_folder_is_written_and_nothing_is_sent(
    bench: TrainingSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a training opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.chdir(tmp_path)
    before = tree_hash(bench.data), tree_hash(bench.folder / "user"), tree_hash(tmp_path)
    train(bench.job("clean", epochs=1))
    assert (tree_hash(bench.data), tree_hash(bench.folder / "user"), tree_hash(tmp_path)) == before
    assert list((bench.folder / "out/clean").iterdir()) == [], "keep=False leaves nothing"


@pytest.mark.slow
def test_a_planted_label_cache_is_not_opened(bench: TrainingSetup, tmp_path: Path) -> None:
    """Row P2: ultralytics unpickles labels/train.cache; we never look at it, nor write one."""
    import pickle
    import shutil

    data, marker = tmp_path / "export", tmp_path / "marker"
    shutil.copytree(bench.data, data)

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    for split in ("train", "val"):
        (data / "labels" / f"{split}.cache").write_bytes(pickle.dumps(Trap()))
    assert train(replace(bench.job("trap", epochs=1), data=data)).status == "succeeded"
    assert not marker.exists()


@pytest.mark.slow
def test_an_export_may_be_moved(bench: TrainingSetup, full_run: Run, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(bench.data, tmp_path / "elsewhere")
    run = train(replace(bench.job("moved"), data=tmp_path / "elsewhere"))
    assert untimed(run.curve) == untimed(full_run.curve)


@pytest.mark.slow
def test_group_norm_replaces_batch_norm(bench: TrainingSetup) -> None:
    run = train(bench.job("group", mode="scratch", normalisation="group", batch=2, keep=True))
    assert run.status == "succeeded"
    assert not any("running_mean" in name for name in tensors(bench.folder / "out/group"))
    assert any("group norm" in note for note in run.notes)
    assert not any("small for batch norm" in note for note in run.notes)


@pytest.mark.slow
def test_a_small_batch_with_batch_norm_is_noted(bench: TrainingSetup) -> None:
    run = train(bench.job("tiny-batch", mode="scratch", batch=2, epochs=1))
    assert any("small for batch norm" in note for note in run.notes)


@pytest.mark.slow
def test_the_starting_score_is_the_checkpoints_own(bench: TrainingSetup, full_run: Run) -> None:
    """A checkpoint trained on this very target starts where its training ended."""
    assert full_run.best is not None
    job = replace(
        bench.job("from-itself", epochs=1),
        weights=bench.folder / "out/full" / BEST_WEIGHTS,
        class_names=("circle", "square"),
    )
    assert train(job).starting_score == pytest.approx(full_run.best.score, abs=1e-4)
    half = train(replace(job, class_names=("circle", "wheel")))
    assert half.starting_score is not None
    assert half.starting_score != pytest.approx(full_run.best.score, abs=1e-4)


@pytest.mark.slow
def test_a_crashed_run_goes_on_where_it_was(bench: TrainingSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row R3 for one process: the resumed curve is the uninterrupted one, to the last digit."""
    # Gradients that wait for the next step across the end of an epoch are lost in a crash.
    monkeypatch.setattr("recommender.training_recipe.NOMINAL_BATCH", 4)

    def crash(point: EpochMetrics) -> None:
        if point.epoch == 2:
            raise KeyboardInterrupt

    whole = train(bench.job("whole", epochs=4, keep=True, half=False))
    job = bench.job("crashed", epochs=4, keep=True, half=False, resumable=True)
    with pytest.raises(KeyboardInterrupt):
        train(job, on_epoch=crash)
    assert (job.output / STATE_FILE).exists()
    seen: list[int] = []
    resumed = train(job, on_epoch=lambda point: seen.append(point.epoch))
    assert seen == [3, 4]
    assert untimed(resumed.curve) == untimed(whole.curve)
    assert "resumed after epoch 2" in resumed.notes
    first, second = tensors(bench.folder / "out/whole"), tensors(job.output)
    assert all(first[name].equal(second[name]) for name in first)
    assert not (job.output / STATE_FILE).exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_costs_the_state_and_not_the_training(bench: TrainingSetup, tmp_path: Path) -> None:
    """Row R10: 30 MB hold what a training needs, and half of the state that it could resume from."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        job = replace(bench.job("full", epochs=2, resumable=True), output=disk / "out")
        run = train(job)
        assert run.status == "succeeded"
        assert any("could not be kept" in note and "No space left" in note for note in run.notes), run.notes
        assert sum(file.stat().st_size for file in disk.rglob("*") if file.is_file()) < 2**20
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_out_of_memory_halves_the_batch_and_says_so(
    bench: TrainingSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tune_jobs.training.trainer import DetectRun

    original = DetectRun.preprocess_batch

    def small_memory(self: Any, batch: dict[str, Any]) -> Any:
        if len(batch["img"]) > 2:
            raise RuntimeError("out of memory (simulated)")
        return original(self, batch)

    monkeypatch.setattr(DetectRun, "preprocess_batch", small_memory)
    run = train(bench.job("oom", epochs=1))
    assert (run.status, run.batch_used) == ("succeeded", 2)
    assert "batch 2 instead of 4: out of memory" in run.notes
    monkeypatch.setattr(DetectRun, "preprocess_batch", lambda *_: (_ for _ in ()).throw(MemoryError()))
    assert train(bench.job("oom-for-good", epochs=1)).status == "failed"


def test_weights_other_than_recorded_are_refused(bench: TrainingSetup) -> None:
    with pytest.raises(IntegrityError, match="sha256"):
        train(bench.job("swapped", weights_sha256="0" * 64))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "auto"},
        {"epochs": 0},
        {"epochs": 5, "schedule_epochs": 3},
        {"fraction": 0.0},
        {"fraction": 1.5},
        {"batch": 0},
        {"device": "0,1"},
        {"mode": "scratch", "weights": COCO},
        {"weights": None},
        {"learning_rate": 1e18},
    ],
)
def test_a_job_that_contradicts_itself_is_refused(bench: TrainingSetup, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        train(bench.job("refused", **changes))
    assert not (bench.folder / "out/refused").exists()
