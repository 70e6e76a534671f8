"""The very same network in another file is recognised by its numbers: exported, re-saved, rounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from recommender.candidates.choosing import _by_file
from recommender.checkpoints import (
    add_checkpoint,
    all_checkpoints,
    export_pt,
    get_checkpoint,
    load_state,
    names_of_files,
    zoo,
)
from recommender.checkpoints.same_network import same_network
from recommender.cli.app import app
from recommender.errors import StorageError
from recommender.records import Checkpoint
from recommender.store import Store
from tests.checkpoints.kit import state_of
from tests.checkpoints.test_lineage import moved
from tests.evidence.kit import stored

ZOO = {entry.name: entry for entry in zoo()}
SHIPS, COCO = ZOO["ships-yolo11n"], ZOO["coco-yolo11n"]


def rounded(state: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {k: v.to(dtype).float() if v.is_floating_point() else v for k, v in state.items()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_rounding_leaves_a_network_what_it_is(dtype: torch.dtype, tmp_path: Path) -> None:
    full = {k: v * 1.0001 if v.dim() == 4 else v for k, v in state_of().items()}  # of no short numbers
    known = [SHIPS, stored(tmp_path, "full", full)]
    assert same_network(rounded(full, dtype), "yolo11n", known) == known[1]
    assert same_network(rounded(load_state(SHIPS), dtype), "yolo11n", known) == SHIPS


def test_what_learnt_anything_is_another_network(tmp_path: Path) -> None:
    state = load_state(SHIPS)
    body = {key: one for key, one in state.items() if not key.startswith("model.23.")}
    head = {
        k: v + 1e-4 if k.startswith("model.23.cv3") and v.is_floating_point() else v for k, v in state.items()
    }
    for other in (moved(state, 1e-4, 0), body, head):
        assert same_network(other, "yolo11n", list(ZOO.values())) is None
    assert same_network(state, "yolo11s", list(ZOO.values())) is None
    assert same_network({}, "yolo11n", list(ZOO.values())) is None


def test_a_damaged_file_is_passed_over(tmp_path: Path) -> None:
    broken = replace(SHIPS, path=tmp_path / "broken")
    (tmp_path / "broken").write_bytes(b"no weights")
    assert same_network(load_state(SHIPS), "yolo11n", [broken, SHIPS]) == SHIPS


@pytest.mark.slow
def test_an_exported_built_in_one_comes_back_as_what_it_is(tmp_path: Path, store: Store, home: Path) -> None:
    exported = export_pt(SHIPS, tmp_path / "x.pt")
    said = CliRunner().invoke(app, ["checkpoints", "add", str(exported), "--name", "mine", "--yes"])
    assert "mine is the very network of ships-yolo11n" in " ".join(said.output.split())
    mine = get_checkpoint(store, "mine")
    facts = ("sha256", "source_hash", "source_name", "source_images", "source_score", "licence", "lineage")
    assert [getattr(mine, fact) for fact in facts] == [getattr(SHIPS, fact) for fact in facts]
    assert (mine.origin, mine.path) == ("registry", home / "checkpoints" / f"{SHIPS.sha256}.safetensors")
    assert load_state(mine).keys() == load_state(SHIPS).keys()
    assert names_of_files(all_checkpoints(store))["mine"] == ("ships-yolo11n", "mine")
    assert get_checkpoint(store, str(exported), allow_paths=True) == SHIPS
    assert [file.name for file in (home / "checkpoints").glob("*.safetensors")] == [
        f"{SHIPS.sha256}.safetensors"
    ]

    torch.save(state_of_coco := rounded(load_state(COCO), torch.bfloat16), tmp_path / "plain.pt")
    coco = add_checkpoint(store, tmp_path / "plain.pt", name="plain")
    assert (coco.sha256, coco.class_names, coco.lineage) == (COCO.sha256, COCO.class_names, None)
    assert same_network(state_of_coco, "yolo11n", [COCO]) == COCO


def test_of_equal_weights_the_makers_word_counts_before_the_users() -> None:
    told = replace(SHIPS, name="a", origin="registry", source_hash=COCO.source_hash)
    sources: dict[str, object] = {str(SHIPS.source_hash): 1, str(COCO.source_hash): 1}
    (group,) = _by_file([told, SHIPS], sources)  # type: ignore[arg-type]
    assert [one.name for one in group] == ["ships-yolo11n", "a"]


@pytest.mark.slow
def test_a_file_named_once_can_be_kept_later(store: Store, nano_pt: Path) -> None:
    first = get_checkpoint(store, str(nano_pt), allow_paths=True)
    assert not first.kept
    get_checkpoint(store, str(nano_pt), allow_paths=True, keep=True)
    assert get_checkpoint(store, first.name).kept


@pytest.mark.slow
def test_a_file_named_once_and_added_later_takes_part(store: Store, nano_pt: Path) -> None:
    once = get_checkpoint(store, str(nano_pt), allow_paths=True)
    added = add_checkpoint(store, nano_pt, name="mine")
    assert (once.kept, added.kept, added.sha256) == (False, True, once.sha256)


@pytest.mark.slow
def test_what_could_not_be_registered_leaves_no_weights(
    store: Store, nano_pt: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(checkpoint: Checkpoint, **_: object) -> None:
        raise StorageError("The disk is full.", remedy="Free some space.")

    with monkeypatch.context() as broken:
        broken.setattr(store.checkpoints, "put", full)
        with pytest.raises(StorageError):
            add_checkpoint(store, nano_pt, name="mine")
    assert list((home / "checkpoints").iterdir()) == []
    kept = add_checkpoint(store, nano_pt, name="first")
    with monkeypatch.context() as broken:
        broken.setattr(store.checkpoints, "put", full)
        with pytest.raises(StorageError):
            add_checkpoint(store, nano_pt, name="second")
    assert kept.path is not None
    assert kept.path.exists()  # it is in use
