"""`recommend train` before the training: what it is to be trained on, and what is wrong with that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recommender import datasets, pipeline
from recommender.checkpoints import zoo
from recommender.cli.app import run
from recommender.cli.train import _registered, _resolved
from recommender.profile import ENCODER
from recommender.requests import TrainingRequest
from recommender.starts import with_depth
from recommender.store import Store
from tests.datasets.helpers import write_rows, yolo_set
from tune_jobs.artefact_transfer import packed_dataset


def test_what_is_wrong_with_the_data_is_said_before_it_is_trained_on(home: Path, tmp_path: Path) -> None:
    folder = yolo_set(tmp_path)
    write_rows(folder, 0, "0 0.95 0.5 0.3 0.3\n0 0.5 0.5 0.2\n")
    with Store() as store:
        request = TrainingRequest.model_validate({"dataset": str(folder), "start": "scratch"})
        _, target, notices = _resolved(store, request)
        assert store.profiles.get(target.hash, ENCODER) is not None  # made once, for the result as well
    assert {"label_clipped", "label_columns"} <= {notice.code for notice in notices}


@pytest.mark.parametrize("start", ["scratch", None])
@pytest.mark.slow
def test_the_images_are_hashed_once(
    start: str | None, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the answer or by the command, never by both, and not again by the launcher: it finds them packed."""
    opened: list[str] = []
    real = datasets.open_dataset

    def counting(path: Any, **options: Any) -> Any:
        opened.append(str(path))
        return real(path, **options)

    for module in (datasets, pipeline):
        monkeypatch.setattr(module, "open_dataset", counting)
    folder = yolo_set(tmp_path)
    with Store() as store:
        asked = {"dataset": str(folder), "start": start, "epochs": 1, "imgsz": 64}
        request, target, _ = _resolved(store, TrainingRequest.model_validate(asked))
    assert opened == [str(folder)]
    assert request.start is not None
    assert packed_dataset(target.hash) is not None


@pytest.mark.slow
def test_a_weights_file_takes_a_freeze_depth_as_its_name_does(home: Path, tmp_path: Path) -> None:
    coco = next(one for one in zoo() if one.name == "coco-yolo11n")
    assert coco.path is not None
    file = tmp_path / "my:best.safetensors"
    file.write_bytes(coco.path.read_bytes())
    with Store() as store:
        named = _registered(store, str(file))
        assert _registered(store, f"{file}:freeze") == f"{named}:freeze"
        assert _registered(store, "coco:freeze") == "coco:freeze"
    assert with_depth(named, "backbone") == (f"{named}:freeze", None)


@pytest.mark.slow
def test_a_training_left_to_itself_by_ctrl_c_ends_no_script_well(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`recommend train … && deploy` must not deploy; who asks for --detach wants no more than the launch."""

    def interrupted(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt  # as Ctrl-C does; workers of the tests ignore the signal itself

    asked = [
        "train",
        "--dataset",
        str(yolo_set(tmp_path)),
        "--start",
        "scratch",
        "--epochs",
        "1",
        "--imgsz",
        "64",
    ]
    monkeypatch.setattr("tune_jobs.hosting.ensure_host", interrupted)
    assert run(asked) == 130
    told = capsys.readouterr()
    assert "goes on without this terminal" in told.err
    assert ": queued" in told.out
    monkeypatch.setattr("tune_jobs.hosting.ensure_host", lambda *_, **__: True)
    assert run([*asked, "--detach"]) == 0
