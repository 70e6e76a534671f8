"""Classes that the user says mean the same: in the evidence, in the commands, and in the rows that are trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recommender.class_names import mapped
from recommender.cli.app import run
from recommender.errors import UsageError
from tests.datagen import make_dataset

START = "coco-yolo11n"


def evidence(data: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[float, str]:
    asked = [str(data), "--start", f"{START}:full", "--max-feature-candidates", "0", "--json", *more]
    assert run(asked) == 0
    found = json.loads(capsys.readouterr().out)
    row = next(row for row in found["ranking"] if row["checkpoint"] == START and row["mode"] == "full")
    return row["evidence"]["class_overlap"], found["train_command"]


@pytest.mark.slow
def test_a_mapped_class_counts_as_known_for_this_question_only(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_dataset(tmp_path / "signs", classes=("minivan", "gizmo"))
    assert evidence(data, capsys)[0] == 0
    shared, command = evidence(data, capsys, "--map", "Minivan=car")
    assert shared == 0.5
    assert "--map" in command
    assert evidence(data, capsys)[0] == 0
    assert run([str(data), "--start", f"{START}:full", "--map", "minivan=nonesuch"]) == 0
    assert "No checkpoint here has a class nonesuch" in capsys.readouterr().out
    assert run([str(data), "--map", "minivan=car", "--map", "minivan=bus"]) == 2
    assert "two meanings, 'car' and 'bus'" in capsys.readouterr().err
    for wrong in ("minivan", "=car", "lorry=car"):
        assert run([str(data), "--map", wrong]) == 2
        assert "--map" in capsys.readouterr().err


def test_classes_are_mapped_by_their_normalised_name() -> None:
    assert mapped(("Mini_Vans", "dog"), {"mini van": "car"}) == ("car", "dog")
    with pytest.raises(UsageError, match="cat"):
        mapped(("dog",), {"cat": "dog"})


def test_a_map_makes_another_run_and_none_keeps_the_ids_of_old_ones(tmp_path: Path) -> None:
    from tests.tune_jobs.training_kit import make_job

    plain = make_job(tmp_path / "data", tmp_path / "out")
    told = make_job(tmp_path / "data", tmp_path / "out", class_map=(("sign", "stop sign"),))
    assert plain.run_id != told.run_id
