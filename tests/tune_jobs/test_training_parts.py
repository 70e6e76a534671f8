"""The parts of the training that need no training."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.errors import UsageError
from recommender.records import Recipe, Start
from tests.processes import PYTHON, run_command
from tests.tune_jobs.training_kit import make_job
from tune_jobs.training.job import TrainingJob, _asked_of


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    return make_job(tmp_path, tmp_path, learning_rate=None)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["tune_jobs.training", "tune_jobs.compare.run", "tune_jobs.sweep.run"])
def test_importing_the_package_loads_nothing_heavy(module: str) -> None:
    """Nor ultralytics before its safety switches are set."""
    code = f"import sys, {module}; print([m for m in ('torch','ray','ultralytics') if m in sys.modules])"
    done = run_command(*PYTHON, code)
    assert done.stdout.strip() == "[]"


def test_the_identity_is_what_was_asked_not_where(job: TrainingJob, tmp_path: Path) -> None:
    same = replace(job, output=tmp_path / "b", data=tmp_path / "c", num_threads=9, device="cuda:0", keep=True)
    assert same.run_id == job.run_id
    others = [
        replace(job, target_hash="u" * 64),
        replace(job, weights_sha256="1" * 64),
        replace(job, architecture="yolo11s"),
        replace(job, start=Start(checkpoint="coco", mode="freeze")),
        replace(job, start=Start(checkpoint="other", mode="full")),
        *(
            replace(job, recipe=replace(job.recipe, **change))
            for change in ({"seed": 1}, {"epochs": 4}, {"fraction": 0.5})
        ),
    ]
    assert len({job.run_id, *(other.run_id for other in others)}) == len(others) + 1


def test_the_learning_rate_follows_mode_and_optimiser_unless_named(job: TrainingJob) -> None:
    assert job.learning_rate == 1e-3
    assert replace(job, start=Start(checkpoint="x", mode="freeze")).learning_rate == 2e-3
    assert replace(job, recipe=replace(job.recipe, optimizer="SGD")).learning_rate == 1e-2
    assert replace(job, recipe=replace(job.recipe, learning_rate=3e-4)).learning_rate == 3e-4


def test_a_smaller_part_lies_within_a_larger_one(tmp_path: Path) -> None:
    from tune_jobs.training.environment import prepare_environment

    prepare_environment()
    from tune_jobs.training.dataset import chosen_images

    for number in range(40):
        (tmp_path / f"{number}.jpg").touch()
    (tmp_path / "notes.txt").touch()
    parts = [set(chosen_images(tmp_path, fraction=share, seed=0)) for share in (0.001, 0.1, 0.33, 0.7, 1.0)]
    assert [len(part) for part in parts] == [1, 4, 13, 28, 40]
    assert all(small < large for small, large in itertools.pairwise(parts))
    assert set(chosen_images(tmp_path, fraction=0.33, seed=1)) != parts[2]


def test_group_norm_keeps_scale_shift_and_every_width(tmp_path: Path) -> None:
    import torch
    from torch import nn

    from tune_jobs.training.normalisation import use_group_norm

    first, second = nn.BatchNorm2d(80), nn.BatchNorm2d(7)
    nn.init.uniform_(first.weight)
    model = nn.Sequential(nn.Conv2d(3, 80, 1), first, nn.Sequential(second))
    assert use_group_norm(model) == 2
    norm = model[1]
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == 20
    assert torch.equal(norm.weight, first.weight)
    lone, many = norm(torch.rand(1, 80, 4, 4)), norm(torch.rand(5, 80, 4, 4))
    assert lone.shape == (1, 80, 4, 4)
    assert many.shape == (5, 80, 4, 4)


@pytest.mark.slow
def test_ultralytics_imported_without_safety_is_refused() -> None:
    code = (
        "import ultralytics\n"
        "from tune_jobs.training import prepare_environment\n"
        "from recommender.errors import UnavailableError\n"
        "try: prepare_environment()\n"
        "except UnavailableError as error: print('refused', error)\n"
    )
    clean = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    done = run_command(sys.executable, "-W", "ignore", "-c", code, env=clean)
    assert "refused" in done.stdout


def test_the_default_recipe_is_named(job: TrainingJob) -> None:
    assert Recipe(epochs=1, imgsz=32).optimizer == "AdamW", "never auto"


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04" + b"\0" * 99])
def test_a_torn_or_foreign_state_file_means_a_new_start(tmp_path: Path, content: bytes) -> None:
    import torch

    from tune_jobs.training.resume import VERSION, load_state

    file = tmp_path / "resume.pt"
    assert load_state(file, "mine") is None
    file.write_bytes(content)
    assert load_state(file, "mine") is None
    torch.save({"version": VERSION, "run_id": "mine"}, file)
    assert load_state(file, "mine") is not None
    assert load_state(file, "another") is None
    file.write_bytes(file.read_bytes()[:-40])
    assert load_state(file, "mine") is None


def test_a_state_file_that_runs_code_is_not_obeyed(tmp_path: Path) -> None:
    import pickle

    from tune_jobs.training.resume import load_state

    marker = tmp_path / "marker"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (marker,))

    (tmp_path / "resume.pt").write_bytes(pickle.dumps(Trap()))
    assert load_state(tmp_path / "resume.pt", "mine") is None
    assert not marker.exists()


def test_later_recipe_fields_leave_the_identity_of_older_runs_alone(job: TrainingJob) -> None:
    """Earlier trainings of a user stay known: the id of a plain run is the one of before the field came."""
    assert "multi_scale" not in _asked_of(job.recipe)
    scaled = replace(job, recipe=replace(job.recipe, multi_scale=0.5))
    assert _asked_of(scaled.recipe)["multi_scale"] == 0.5
    assert scaled.run_id != job.run_id
    with pytest.raises(UsageError, match="multi_scale"):
        replace(job, recipe=replace(job.recipe, multi_scale=1.0)).check()


@pytest.mark.parametrize(
    ("device", "processes", "normalisation", "expected"),
    [
        ("cuda:0", 2, "batch", True),
        ("cuda:0", 1, "batch", False),
        ("cuda:0", 2, "group", False),
        ("cpu", 2, "batch", False),
    ],
)
def test_batch_norm_is_synchronised_on_several_gpus_only(
    job: TrainingJob, device: str, processes: int, normalisation: str, expected: bool
) -> None:
    from tune_jobs.training.normalisation import synchronises_norms

    recipe = replace(job.recipe, normalisation=normalisation)  # type: ignore[arg-type]
    asked = replace(job, device=device, num_processes=processes, recipe=recipe)
    assert synchronises_norms(asked) is expected


@pytest.mark.parametrize("frozen_layers", [0, 11])
def test_a_synchronised_model_is_the_same_network(frozen_layers: int) -> None:
    import torch
    from torch import nn

    from recommender.checkpoints import build_model
    from tune_jobs.training.normalisation import synchronise_norms

    model = build_model("yolo11n", 2)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    for module in model.modules():  # statistics of a trained network
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.uniform_(-0.1, 0.1)
    images_N3HW = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = model.eval()(images_N3HW)[0]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    replaced = synchronise_norms(model, frozen_layers=frozen_layers)
    left = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert replaced + len(left) == norms
    assert replaced > 0
    assert {int(name.split(".")[1]) for name in left} <= set(range(frozen_layers))
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert state.keys() == model.state_dict().keys()
    with torch.inference_mode():
        assert torch.equal(model.eval()(images_N3HW)[0], before)


@pytest.mark.parametrize(
    ("architecture", "possible"), [("yolo11n", True), ("yolo26n", True), ("yolov10n", False)]
)
def test_only_the_usual_head_is_augmented(architecture: str, possible: bool) -> None:
    from recommender.checkpoints import build_model
    from tune_jobs.compare.scoring import can_augment

    assert can_augment(build_model(architecture, 2)) is possible


@pytest.mark.parametrize(
    ("gpu", "breaks"),
    [
        ("NVIDIA GeForce GTX 1650", True),
        ("Quadro T1000", True),
        ("NVIDIA GeForce RTX 4090", False),
        ("NVIDIA H200", False),
        ("", False),
    ],
)
def test_gpus_that_break_in_mixed_precision_are_known_by_name(gpu: str, breaks: bool) -> None:
    from tune_jobs.training.environment import prepare_environment

    prepare_environment()
    import inspect

    from ultralytics.utils.checks import check_amp

    from tune_jobs.training.trainer import BREAKS_IN_HALF

    assert bool(BREAKS_IN_HALF.search(gpu)) == breaks
    assert all(name in inspect.getsource(check_amp) for name in BREAKS_IN_HALF.pattern.split("|"))


def test_a_job_that_asked_for_no_gpu_trains_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray hides no GPU from a job that was given none."""
    import torch

    from tune_jobs.full_training import _places

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert _places(0, 3) == {"device": "cpu", "num_processes": 1, "num_threads": 3}
    assert _places(None, 3) == {"device": "cuda:0", "num_processes": 1, "num_threads": 3}
    assert _places(2, 4) == {"device": "cuda:0", "num_processes": 2, "num_threads": 2}


def test_a_state_from_a_gpu_goes_on_without_one_and_the_other_way_round() -> None:
    from types import SimpleNamespace

    import torch
    from torch.amp.grad_scaler import GradScaler

    from tune_jobs.training.environment import prepare_environment

    prepare_environment()
    from tune_jobs.training.resume import _random_state, _restore_random_state, restore_scaler

    trainer = SimpleNamespace(device=torch.device("cpu"), train_loader=SimpleNamespace())
    state = _random_state(trainer)
    _restore_random_state(state | {"cuda": [torch.zeros(16, dtype=torch.uint8)]}, trainer)
    on_a_gpu = GradScaler("cpu", enabled=True)  # as it is on a GPU
    restore_scaler(GradScaler("cpu", enabled=False).state_dict(), on_a_gpu)
    assert on_a_gpu.is_enabled()
    restore_scaler(on_a_gpu.state_dict(), GradScaler("cpu", enabled=False))
