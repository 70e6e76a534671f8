"""A checkpoint knows the trainings behind it: told, read from its file, from a run of ours, or from its weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from recommender.checkpoints import add_checkpoint, load_state, remove_checkpoint, zoo
from recommender.checkpoints.lineage import (
    MAX_DISTANCE,
    ancestry,
    declared_lineage,
    distance,
    nearest_lineage,
)
from recommender.checkpoints.quarantine.__main__ import examine
from recommender.cli.app import app
from recommender.errors import NotFoundError, UsageError
from recommender.profile.shipped import builtin_profiles
from recommender.records import Checkpoint
from recommender.report.checkpoints import checkpoint_summary
from recommender.store import Store
from recommender.store.records_json import decode, encode
from tests.checkpoints.kit import random_model, save_ultralytics, state_of
from tests.evidence.kit import stored

ZOO = {entry.name: entry for entry in zoo()}
COCO = ZOO["coco-yolo11n"]


def moved(state: dict[str, torch.Tensor], step: float, seed: int) -> dict[str, torch.Tensor]:
    """As a training leaves them: every weight a share of its layer's size away."""
    generator = torch.Generator().manual_seed(seed)
    return {
        key: tensor + step * tensor.std() * torch.randn(tensor.shape, generator=generator)
        if tensor.dim() == 4
        else tensor
        for key, tensor in state.items()
    }


def names(checkpoint: Checkpoint) -> list[str | None] | None:
    return None if checkpoint.lineage is None else [step.checkpoint for step in checkpoint.lineage]


def test_the_built_in_ones_began_from_the_public_one_of_their_task() -> None:
    public = {"detect": COCO, "segment": ZOO["coco-yolo11n-seg"], "classify": ZOO["imagenet-yolov8n-cls"]}
    assert {entry.task for entry in ZOO.values() if entry not in public.values()} == set(public)
    for entry in ZOO.values():
        parent = public[entry.task]
        if entry is parent:
            assert entry.lineage is None  # how the official weights began is not said
            continue
        (step,) = entry.lineage or ()
        expected = (parent.source_name, parent.source_images, parent.sha256)
        assert (step.source_name, step.source_images, step.sha256) == expected
        assert entry.source_hash is not None
        assert builtin_profiles()[entry.source_hash].task == entry.task  # so that leaks are found
        assert entry.source_score is not None


def test_descendants_are_near_and_others_far() -> None:
    """The measurement that the threshold rests on; `benchmarks/lineage_distance.py` measures more."""
    parent = load_state(COCO)
    apart = [distance(load_state(entry), parent) or 0.0 for entry in ZOO.values() if entry.task == "detect"]
    assert max(apart) < 0.05
    assert all((distance(state_of(seed=seed), parent) or 0.0) > 2 * MAX_DISTANCE - 0.1 for seed in (0, 1))
    assert distance({}, parent) is None


def test_siblings_are_not_taken_for_parents(tmp_path: Path) -> None:
    """Trained on the same data from the same weights, two checkpoints are nearer to each other than to COCO."""
    sibling = load_state(ZOO["ships-yolo11n"])
    found = nearest_lineage(moved(sibling, 0.001, 0), "yolo11n", list(ZOO.values()))
    assert found is not None
    assert [(step.checkpoint, step.known_by) for step in found] == [("coco-yolo11n", "weights")]
    assert nearest_lineage(state_of(), "yolo11n", list(ZOO.values())) is None
    mine = stored(tmp_path, "mine", moved(sibling, 0.002, 1))  # of which nothing is known
    found = nearest_lineage(sibling, "yolo11n", [mine, COCO])
    assert found is not None
    assert [step.checkpoint for step in found] == ["coco-yolo11n"]
    found = nearest_lineage(
        moved(state_of(), 0.01, 1), "yolo11n", [COCO, stored(tmp_path, "own", state_of())]
    )
    assert found is not None
    assert [step.checkpoint for step in found] == ["own"]
    assert nearest_lineage(sibling, "yolo11s", list(ZOO.values())) is None


def test_a_chain_grows_by_one_training_at_a_time() -> None:
    grown = replace(ZOO["ships-yolo11n"], name="ours", lineage=ancestry(ZOO["ships-yolo11n"], "run"))
    assert names(grown) == ["coco-yolo11n", "ships-yolo11n"]
    assert decode(Checkpoint, encode(grown)) == grown


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("ships-yolo11n.pt", ["coco-yolo11n", "ships-yolo11n"]),
        ("coco-yolo11n.pt", ["coco-yolo11n"]),
        ("yolo11n.yaml", []),
        ("last.pt", None),
        (None, None),
    ],
)
def test_the_file_says_what_its_training_began_from(told: str | None, expected: list[str] | None) -> None:
    found = declared_lineage(told, list(ZOO.values()))
    assert (None if found is None else [step.checkpoint for step in found]) == expected


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_file_that_every_training_leaves_is_no_parent_by_its_name(name: str) -> None:
    registered = replace(next(iter(ZOO.values())), name=name)
    assert declared_lineage(f"{name}.pt", [registered]) is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"model": "/home/ada/runs/yolo11n.pt"}, "yolo11n.pt"),
        ({"model": "C:\\runs\\yolo11n.pt", "pretrained": True}, "yolo11n.pt"),
        ({"model": "yolo11n.yaml", "pretrained": "other.pt"}, "other.pt"),
        ({"model": ["x"], "pretrained": None}, None),
        ({"model": "x\x1b[31m.pt"}, None),
    ],
)
def test_only_the_name_of_the_file_is_read(
    arguments: dict[str, object], expected: str | None, tmp_path: Path
) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    file = save_ultralytics(tmp_path / "x.pt", model, train_args=arguments)
    assert examine(file, tmp_path)[1]["started_from"] == expected


@pytest.mark.slow
def test_add_takes_the_users_word_then_the_files_then_the_weights(tmp_path: Path, store: Store) -> None:
    model = random_model()
    file = save_ultralytics(tmp_path / "x.pt", model)
    assert names(add_checkpoint(store, file, name="unknown")) is None
    assert names(add_checkpoint(store, file, name="random", from_scratch=True)) == []
    assert names(add_checkpoint(store, file, name="told", parent="ships-yolo11n")) == [
        "coco-yolo11n",
        "ships-yolo11n",
    ]
    assert names(add_checkpoint(store, file, name="again")) == []  # the same weights as "random"
    model.load_state_dict({k: v for k, v in load_state(COCO).items() if "model.23" not in k}, strict=False)
    near = add_checkpoint(store, save_ultralytics(tmp_path / "y.pt", model), name="near")
    assert names(near) == ["coco-yolo11n"]
    (step,) = checkpoint_summary(near).model_dump(mode="json")["lineage"]
    assert (step["known_by"], step["source_images"]) == ("weights", 118_287)
    with pytest.raises(NotFoundError):
        add_checkpoint(store, file, name="orphan", parent="nobody")
    assert names(add_checkpoint(store, file, name="at-random", parent="scratch")) == []
    with pytest.raises(UsageError, match="not from both"):
        add_checkpoint(store, file, name="both", parent="coco", from_scratch=True)
    grown = replace(near, name="grown", sha256="0", lineage=ancestry(near, "user"))
    store.checkpoints.put(grown)
    for parent in ("near", "grown"):  # its own weights, and what began from them
        with pytest.raises(UsageError, match="cannot have begun"):
            add_checkpoint(store, tmp_path / "y.pt", name="circle", parent=parent)
    shown = CliRunner().invoke(app, ["checkpoints", "show", "near"])
    assert "COCO 118,287 images (coco-yolo11n) → its own data" in " ".join(shown.output.split())


@pytest.mark.slow
def test_a_refused_file_leaves_the_weights_of_another_store_of_one_home(tmp_path: Path, store: Store) -> None:
    file = save_ultralytics(tmp_path / "x.pt", random_model())
    added = add_checkpoint(store, file, name="mine", parent="coco")
    grown = replace(added, name="grown", sha256="0", lineage=ancestry(added, "user"))
    with Store(tmp_path / "other.sqlite3") as other:
        other.checkpoints.put(grown)
        with pytest.raises(UsageError, match="cannot have begun"):
            add_checkpoint(other, file, name="circle", parent="grown")
    assert load_state(added)
    remove_checkpoint(store, "mine")
    store.checkpoints.put(grown)
    with pytest.raises(UsageError, match="cannot have begun"):
        add_checkpoint(store, file, name="circle", parent="grown")
    assert added.path is not None
    assert not added.path.exists()


def test_a_record_of_an_older_version_has_no_lineage(tmp_path: Path) -> None:
    checkpoint = stored(tmp_path, "x", {"model.0.conv.weight": torch.zeros(1)})
    old = json.loads(encode(checkpoint))
    del old["lineage"], old["flops_b"]
    assert decode(Checkpoint, json.dumps(old)) == checkpoint
