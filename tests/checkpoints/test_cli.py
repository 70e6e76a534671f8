"""`recommend checkpoints …`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from recommender.checkpoints import build_model
from recommender.cli.checkpoints import app
from recommender.cli.checks import built_in_weights
from recommender.datasets import open_dataset
from recommender.errors import ConflictError, NotFoundError, RecommenderError, UsageError
from recommender.store import Store
from tests.checkpoints.test_registry import kept
from tests.datagen import make_dataset
from tests.datasets.test_classification import two_splits
from tests.evidence.kit import stored


def recommend(*arguments: str | Path) -> Result:
    """Run a command; an error of ours is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, RecommenderError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def document(*arguments: str | Path) -> Any:
    return json.loads(recommend(*arguments, "--json").stdout)


def test_list_names_everything_with_its_fields(store: Store, home: Path) -> None:
    store.checkpoints.put(kept(home))
    listed = {entry["name"]: entry for entry in document("list")["checkpoints"]}
    assert {"mine", "coco-yolo11n", "yolo26x"} <= listed.keys()
    assert listed["mine"]["available"] is True
    assert listed["yolo26x"]["available"] is False
    assert listed["mine"]["licence"] is None
    assert listed["coco-yolo11n"]["num_parameters"] == 2_624_080
    assert listed["coco-yolo11n"]["classes"][0] == "person"
    assert str(home) not in json.dumps(listed)
    here = document("list", "--available")["checkpoints"]
    assert all(entry["available"] for entry in here)


def test_names_of_one_file_are_one_row_and_each_others_aliases(store: Store, home: Path) -> None:
    mine = kept(home)
    store.checkpoints.put_all([mine, replace(mine, name="again"), replace(mine, name="other", sha256=None)])
    listed = {entry["name"]: entry["aliases"] for entry in document("list")["checkpoints"]}
    assert (listed["mine"], listed["again"], listed["other"]) == (["again"], ["mine"], [])
    rows = [line for line in recommend("list", "--available").stdout.splitlines() if "again" in line]
    assert [row.split("  ")[0] for row in rows] == ["again = mine"]


def test_the_doctor_tells_of_untrained_weights_that_were_added_before_such_were_refused(
    store: Store, home: Path, tmp_path: Path
) -> None:
    store.checkpoints.put(kept(home))
    (finding,) = built_in_weights()
    assert finding.state == "ok"
    drawn = build_model("yolo11n", 2).state_dict()
    store.checkpoints.put(stored(tmp_path, "drawn", drawn))
    _, told = built_in_weights()
    assert (told.state, told.said.split(": ")[1]) == ("note", "drawn")
    assert told.remedy == "recommend checkpoints remove drawn"


def test_a_parent_is_named_by_its_name(store: Store, home: Path, nano_pt: Path) -> None:
    with pytest.raises(UsageError, match="is a file") as caught:
        recommend("add", nano_pt, "--name", "child", "--from", nano_pt, "--yes")
    assert "Add that file first" in str(caught.value.remedy)


def test_the_table_shows_names_letter_by_letter(store: Store, home: Path) -> None:
    store.checkpoints.put(kept(home, source_name="[bold red]evil\x1b[31m\u202e", licence="[link=x]MIT"))
    shown = recommend("list", "--available").stdout
    assert "[bold red]evil\\x1b[31m" in shown
    assert "[link=x]MIT" in shown
    assert "\x1b[31m" not in shown


def test_show_tells_layers_and_transfer(store: Store, tmp_path: Path) -> None:
    told = document("show", "coco", "--dataset", make_dataset(tmp_path / "data", format="yolo"))
    assert told["checkpoint"]["name"] == "coco-yolo11n"
    assert told["transfer"]["backbone"] == 1.0
    assert told["transfer"]["classes_matched"] == 0
    assert {layer["part"] for layer in told["transfer"]["layers"]} == {"backbone", "neck", "head"}
    assert "of the parameters" in recommend("show", "coco").stdout


def test_what_weights_were_made_for_is_told_where_they_start_another_task(
    store: Store, home: Path, tmp_path: Path
) -> None:
    data = two_splits(tmp_path / "pets")
    shown = CliRunner().invoke(app, ["show", "coco", "--dataset", str(data), "--json"])
    assert "coco-yolo11n was an object detector and becomes an image classifier" in shown.stderr
    transfer = json.loads(shown.stdout)["transfer"]
    assert (transfer["num_classes"], transfer["neck"], transfer["head"]) == (2, 0.0, 0.0)
    assert 0.5 < transfer["backbone"] < 1.0  # its pooling pyramid is missing in YOLO11's classifier
    store.checkpoints.put(kept(home, foreign_task="pose"))
    detect = CliRunner().invoke(
        app, ["show", "mine", "--dataset", str(make_dataset(tmp_path / "boxes")), "--json"]
    )
    assert "was a model of poses and becomes an object detector" in detect.stderr
    assert json.loads(detect.stdout)["checkpoint"]["foreign_task"] == "pose"
    own = CliRunner().invoke(app, ["show", "imagenet", "--dataset", str(data), "--json"])
    assert (own.exit_code, own.stderr) == (0, "")


@pytest.mark.slow
def test_a_life_of_a_checkpoint(store: Store, nano_pt: Path, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", format="coco")
    added = document("add", nano_pt, "--name", "mine", "--dataset", data, "--licence", "MIT")["checkpoint"]
    assert (added["name"], added["licence"], added["architecture"]) == ("mine", "MIT", "yolo11n")
    assert added["source_hash"] is not None
    with pytest.raises(ConflictError):
        recommend("add", nano_pt, "--name", "mine", "--yes")
    assert "wrote" in recommend("export", "mine", tmp_path / "out.pt").stdout
    assert (tmp_path / "out.pt").exists()
    assert recommend("remove", "mine", "--yes").stdout == "removed mine\n"
    with pytest.raises(NotFoundError):
        recommend("remove", "mine")


@pytest.mark.slow
def test_a_detector_of_an_outlined_set_is_known_by_the_boxes_it_saw(
    store: Store, nano_pt: Path, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "data")
    for file in (tmp_path / "data").rglob("labels/*/*.txt"):
        outlines = []
        for line in file.read_text().splitlines():
            label, *numbers = line.split()
            x, y, w, h = map(float, numbers)
            corners = ((-0.5, 0), (0, -0.5), (0.5, -0.2), (0.5, 0.2), (0, 0.5))
            outlines.append(" ".join([label, *(f"{x + a * w} {y + b * h}" for a, b in corners)]))
        file.write_text("\n".join(outlines))
    assert open_dataset(data).task == "segment"
    told = recommend("add", nano_pt, "--name", "outlines", "--dataset", data)
    assert "--task detect" in " ".join(told.output.split())
    added = document("add", nano_pt, "--name", "boxes", "--dataset", data, "--task", "detect")["checkpoint"]
    assert added["source_hash"] == open_dataset(data, task="detect").content_hash
