"""The user's own checkpoints: names, records, and bytes that stay what they were (row P9)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recommender.checkpoints import (
    COCO,
    add_checkpoint,
    all_checkpoints,
    check_name,
    export_pt,
    get_checkpoint,
    load_state,
    remove_checkpoint,
    restore_model,
    verify,
)
from recommender.checkpoints.files import keep, sha256_of, stored_shapes
from recommender.checkpoints.kept_weights import claimed, user_of
from recommender.checkpoints.registry import NAME
from recommender.datasets import open_dataset
from recommender.errors import (
    CheckpointError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from recommender.profile import ENCODER
from recommender.records import Checkpoint
from recommender.store import Store
from recommender.ultralytics_safety import prepare_ultralytics
from tests.checkpoints.kit import NAMES, state_of, yolov5_state
from tests.datagen import make_dataset
from tests.store.builders import checkpoint


def kept(home: Path, name: str = "mine", **changes: object) -> Checkpoint:
    """A registered checkpoint without the quarantine's two seconds."""
    from safetensors.torch import save_file

    part = home / "part"
    home.mkdir(exist_ok=True)
    save_file(state_of(), part)
    sha256 = sha256_of(part)
    path = keep(part, sha256)
    return replace(checkpoint(name, class_names=NAMES, sha256=sha256, path=path), **changes)  # type: ignore[arg-type]


# ── names ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["a", "best.v2", "wider_face-yolo11n", "0", "A" * 64])
def test_plain_names_are_taken(name: str, store: Store) -> None:
    check_name(store, name)


@pytest.mark.parametrize(
    "name",
    ["", ".hidden", "-flag", "a b", "a/b", "..", "a\n", "A" * 65, "é", "coco:full", "<b>", "\x1b[31m", "a\0"],
)
def test_other_names_are_refused(name: str, store: Store) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        check_name(store, name)


@pytest.mark.parametrize("name", ["scratch", "SCRATCH", "coco", "Coco", "yolo11n", "YOLOv8n", "coco-yolo11n"])
def test_reserved_names_are_a_conflict(name: str, store: Store) -> None:
    with pytest.raises(ConflictError, match="reserved"):
        check_name(store, name)


@pytest.mark.slow
@given(st.text(max_size=70))
def test_accepted_names_are_safe_everywhere(name: str) -> None:
    if NAME.fullmatch(name):
        assert name.isascii()
        assert not set(name) & set("/\\:\0\n <>&'\"")
        assert len(name) <= 64


def test_nobody_is_replaced_silently(store: Store, home: Path, tmp_path: Path) -> None:
    store.checkpoints.put(kept(home))
    with pytest.raises(ConflictError, match="registered already"):
        add_checkpoint(store, tmp_path / "never-read.pt", name="mine")


# ── finding ──────────────────────────────────────────────────────────────────


def test_coco_names_the_built_in_one(store: Store) -> None:
    assert get_checkpoint(store, COCO).source_name == "COCO"
    assert get_checkpoint(store, COCO).available


def test_names_are_found_in_any_case_where_only_one_is_meant(store: Store) -> None:
    assert get_checkpoint(store, "COCO") == get_checkpoint(store, "coco")
    assert get_checkpoint(store, "Ships-YOLO11n").name == "ships-yolo11n"


def test_unknown_names_get_a_hint(store: Store) -> None:
    with pytest.raises(NotFoundError, match="yolo11n"):
        get_checkpoint(store, "yolo11nn")


def test_paths_are_names_only_where_asked(store: Store, nano_pt: Path) -> None:
    """A name that came over the network must not make us read a file of this machine."""
    with pytest.raises(NotFoundError):
        get_checkpoint(store, str(nano_pt))


@pytest.mark.slow
def test_a_path_registers_itself_once(store: Store, nano_pt: Path) -> None:
    first = get_checkpoint(store, str(nano_pt), allow_paths=True)
    assert first.name == f"best-{(first.sha256 or '')[:8]}"
    assert get_checkpoint(store, str(nano_pt), allow_paths=True) == first
    assert get_checkpoint(store, first.name) == first
    assert store.checkpoints.list() == (first,)


def test_zoo_registry_and_catalogue_are_all_there(store: Store, home: Path) -> None:
    store.checkpoints.put(kept(home))
    origins = [checkpoint.origin for checkpoint in all_checkpoints(store)]
    assert set(origins) == {"zoo", "registry", "catalogue"}
    assert len({checkpoint.name for checkpoint in all_checkpoints(store)}) == len(origins)


# ── adding and removing ──────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_checkpoint_and_its_source_are_remembered(store: Store, nano_pt: Path, tmp_path: Path) -> None:
    before = nano_pt.read_bytes()
    dataset = open_dataset(make_dataset(tmp_path / "data", format="yolo"))
    added = add_checkpoint(
        store,
        nano_pt,
        name="mine",
        dataset=dataset,
        licence="MIT",
        source_licence="CC0-1.0",
        from_scratch=True,
    )
    assert nano_pt.read_bytes() == before
    assert get_checkpoint(store, "mine") == added
    assert (added.architecture, added.class_names, added.licence) == ("yolo11n", NAMES, "MIT")
    assert (added.source_name, added.source_hash) == (dataset.name, dataset.content_hash)
    assert (added.source_score, added.train_imgsz, added.train_epochs) == (0.4321, 256, 25)
    assert added.source_images == len(dataset.of_split("train"))
    assert added.from_scratch
    assert store.profiles.get(dataset.content_hash, ENCODER) is not None
    remove_checkpoint(store, "mine")
    assert added.path is not None
    assert not added.path.exists()
    assert store.checkpoints.get("mine") is None


@pytest.mark.slow
def test_what_nobody_told_stays_unknown(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "v5.pt"
    torch.save({"state_dict": yolov5_state(43)}, file)
    added = add_checkpoint(store, file, name="v5")
    assert (added.architecture, added.class_names, added.licence) == ("yolov5n", None, None)
    assert (added.source_name, added.source_hash, added.source_images, added.source_score) == (None,) * 4


def test_weights_shared_by_two_names_stay_until_the_last_goes(store: Store, home: Path) -> None:
    one, two = kept(home, "one"), kept(home, "two")
    assert one.path == two.path
    assert one.path is not None
    one.path.unlink()
    with claimed(str(one.sha256), user_of(store)):
        kept(home)
        store.checkpoints.put(one)
        store.checkpoints.put(two)
    remove_checkpoint(store, "one")
    assert one.path.exists()
    remove_checkpoint(store, "two")
    assert not one.path.exists()
    assert list((home / "checkpoints").iterdir()) == []


def test_weights_that_an_earlier_version_kept_may_be_another_stores(store: Store, home: Path) -> None:
    one, two = kept(home, "one"), kept(home, "two")
    store.checkpoints.put(one)
    with claimed(str(one.sha256), user_of(store)):
        store.checkpoints.put(two)
    for name in ("one", "two"):
        remove_checkpoint(store, name)
    assert load_state(one)


def test_built_in_ones_stay(store: Store) -> None:
    with pytest.raises(UsageError, match="built in"):
        remove_checkpoint(store, "coco-yolo11n")


# ── P9: bytes that changed after registration ────────────────────────────────


def test_one_changed_byte_is_noticed_before_loading(home: Path) -> None:
    checkpoint = kept(home)
    assert checkpoint.path is not None
    content = bytearray(checkpoint.path.read_bytes())
    content[-5] ^= 1
    checkpoint.path.write_bytes(content)
    for load in (load_state, verify, restore_model):
        with pytest.raises(IntegrityError, match="changed after") as caught:
            load(checkpoint)
        assert "recommend checkpoints add" in str(caught.value)


def test_swapped_weights_are_noticed(home: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    checkpoint = kept(home)
    assert checkpoint.path is not None
    save_file(state_of(seed=5), checkpoint.path)
    with pytest.raises(IntegrityError):
        load_state(checkpoint)


def test_lost_weights_are_noticed(home: Path) -> None:
    checkpoint = kept(home)
    assert checkpoint.path is not None
    checkpoint.path.unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        load_state(checkpoint)


def test_a_checkpoint_without_a_recorded_hash_is_not_trusted(home: Path) -> None:
    with pytest.raises(IntegrityError):
        load_state(kept(home, sha256=None))


def test_weights_not_here_name_the_remedy() -> None:
    absent = Checkpoint(name="yolo26x", origin="catalogue", architecture="yolo26x", family="yolo26")
    with pytest.raises(UnavailableError, match="recommend checkpoints fetch yolo26x"):
        load_state(absent)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\x04" + bytes(7) + b"null", b"\x02" + bytes(7) + b"{"]
)
def test_headers_that_are_none_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        stored_shapes(tmp_path / "x")


# ── back to ultralytics ──────────────────────────────────────────────────────


@pytest.mark.slow
def test_an_export_is_what_ultralytics_reads(home: Path, tmp_path: Path) -> None:
    checkpoint = kept(home)
    file = export_pt(checkpoint, tmp_path / "mine.pt")
    prepare_ultralytics()
    from ultralytics import YOLO

    model = YOLO(file)
    assert (model.names, model.task) == (dict(enumerate(NAMES)), "detect")
    state = model.model.state_dict()
    assert all(
        torch.equal(state[key], value.half().float()) for key, value in state_of().items() if value.dim() == 4
    )
    before = file.read_bytes()
    assert export_pt(checkpoint, file).read_bytes() == before  # the printed command works a second time
    file.write_bytes(b"somebody else's")
    with pytest.raises(ConflictError, match="--force"):
        export_pt(checkpoint, file)
    assert file.read_bytes() == b"somebody else's"
    export_pt(checkpoint, file, overwrite=True)
    with pytest.raises(UsageError, match=r"\.pt"):
        export_pt(checkpoint, tmp_path / "mine.onnx")
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["mine.pt"]


@pytest.mark.slow
def test_a_file_is_read_by_any_way_that_leads_to_it(
    store: Store, nano_pt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    weights = tmp_path / "real" / "best.pt"
    weights.write_bytes(nano_pt.read_bytes())
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real" / "deep")
    for way in ("../best.pt", str(tmp_path / "linked" / "deep" / ".." / "best.pt")):
        assert get_checkpoint(store, way, allow_paths=True).architecture == "yolo11n"
