"""Weights inside zipped runs and folders of runs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from recommender.checkpoints.quarantine.__main__ import examine
from recommender.checkpoints.quarantine.refusal import RefusalError
from recommender.errors import CheckpointError
from tests.checkpoints.kit import admit, as_if_trained


def zipped(file: Path, *members: str) -> Path:
    weights = file.with_name("member.pt")
    model = as_if_trained(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    torch.save({f"model.{key}": tensor for key, tensor in model.state_dict().items()}, weights)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("train/args.yaml", "task: detect")
        for member in members:
            archive.write(weights, member)
    return file


@pytest.mark.parametrize(
    "members",
    [
        ("train/weights/best.pt", "train/weights/last.pt", "__MACOSX/train/weights/._best.pt"),
        ("last.pt",),
    ],
)
def test_the_best_weights_of_a_zipped_run_are_read(members: tuple[str, ...], tmp_path: Path) -> None:
    assert "model.0.weight" in examine(zipped(tmp_path / "run.zip", *members), tmp_path)[0]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ((), "without weights"),
        (("a/best.pt", "b/best.pt"), "2 weights files.*a/best.pt"),
        (("a.pt", "b.pt"), "2 weights"),
    ],
)
def test_a_zip_without_one_best_is_refused(members: tuple[str, ...], told: str, tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match=told):
        examine(zipped(tmp_path / "run.zip", *members), tmp_path)


def test_the_folder_of_a_run_is_answered_with_its_weights(tmp_path: Path, home: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "best.pt").touch()
    with pytest.raises(CheckpointError) as caught:
        admit(tmp_path)
    assert str(tmp_path / "weights" / "best.pt") in str(caught.value.remedy)
