"""The catalogue of public checkpoints, and fetching from it."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from recommender.checkpoints import catalogue, fetch, get_checkpoint, load_state, remove_checkpoint, zoo
from recommender.checkpoints.catalogue import (
    ASSETS_VARIABLE,
    Fetched,
    fetched,
    file_name,
    remember,
)
from recommender.errors import (
    CheckpointError,
    IntegrityError,
    StorageError,
    UnavailableError,
    UsageError,
)
from recommender.families.ultralytics.models import tensor_shapes
from recommender.records import Checkpoint
from recommender.store import Store
from recommender.ultralytics_safety import prepare_ultralytics
from tests.checkpoints.kit import Behaviour, random_model, save_ultralytics, serve
from tests.checkpoints.test_downloading import files_of_at_most


def entry(name: str = "yolo11n") -> Checkpoint:
    return next(checkpoint for checkpoint in catalogue() if checkpoint.name == name)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that a mirror might hold as yolo11n.pt: right in form, random in content."""
    names = entry().class_names
    assert names is not None
    return save_ultralytics(tmp_path_factory.mktemp("published") / "yolo11n.pt", random_model(names=names))


OTHER_TASKS = (
    "pose",
    "obb",
    "sem",
    "depth",
    "reid",
    "world",
    "yoloe",
    "nas",
    "sam",
    "blt",
    "clip",
    "calibration",
)


def official() -> set[str]:
    """Detectors, classifiers and segmenters among the files that the installed ultralytics fetches."""
    prepare_ultralytics()
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    names = {name.removesuffix(".pt") for name in GITHUB_ASSETS_NAMES if name.endswith(".pt")}
    return {name for name in names if not any(mark in name.lower() for mark in OTHER_TASKS)}


def test_every_official_checkpoint_is_listed_with_its_task(home: Path) -> None:
    classifiers = {name for name in official() if name.endswith("-cls")}
    segmenters = {name for name in official() if name.endswith("-seg")}
    listed = catalogue()
    assert {checkpoint.name for checkpoint in listed} == official()
    assert {checkpoint.name for checkpoint in listed if checkpoint.task == "segment"} == segmenters
    assert {checkpoint.name for checkpoint in listed if checkpoint.task == "classify"} == classifiers


def test_every_entry_is_complete_and_plausible(home: Path) -> None:
    sizes = {"COCO": (118_287, 80), "Open Images V7": (1_743_042, 601), "Objects365": (1_742_289, 365)}
    sizes["ImageNet"] = (1_281_167, 1000)
    for checkpoint in catalogue():
        assert checkpoint.source_name is not None
        assert (checkpoint.source_images, len(checkpoint.class_names or ())) == sizes[checkpoint.source_name]
        assert checkpoint.licence == "AGPL-3.0"
        assert (
            checkpoint.url
            == f"https://github.com/ultralytics/assets/releases/download/v8.4.0/{checkpoint.name}.pt"
        )
        best = 0.6 if checkpoint.task != "classify" else 0.85
        assert checkpoint.source_score is None or 0.1 < checkpoint.source_score < best
        assert checkpoint.num_parameters is not None
        assert checkpoint.flops_b is not None
        assert 1 < checkpoint.num_parameters / 1e6 < 160
        assert 3 < checkpoint.flops_b < 350
        usual = 224 if checkpoint.task == "classify" else 640
        assert checkpoint.train_imgsz == (1280 if checkpoint.name.endswith("6u") else usual)
        assert not checkpoint.available
        assert checkpoint.sha256 is None


def test_larger_ones_cost_more_and_score_higher(home: Path) -> None:
    for family in (
        "yolov8{}",
        "yolo11{}",
        "yolo12{}",
        "yolo26{}",
        "yolov8{}-seg",
        "yolo11{}-seg",
        "yolo26{}-seg",
    ):
        sizes = [entry(family.format(size)) for size in "nsmlx"]
        for values in (
            [one.num_parameters or 0 for one in sizes],
            [one.flops_b or 0 for one in sizes],
            [one.source_score or 0 for one in sizes],
        ):
            assert values == sorted(values)


def test_yolo26_began_from_objects365(home: Path) -> None:
    (step,) = entry("yolo26s").lineage or ()
    assert (step.source_name, step.source_images, step.checkpoint) == (
        "Objects365",
        1_742_289,
        "yolo26s-objv1-150",
    )
    assert entry("yolo11n").lineage is None  # nobody says


def test_the_published_files_are_those_ultralytics_knows(home: Path) -> None:
    prepare_ultralytics()
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    assert {file_name(checkpoint.name) for checkpoint in catalogue()} <= GITHUB_ASSETS_NAMES


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["yolov8n", "yolov8n-oiv7", "yolo11n", "yolo12n", "yolo26n", "rtdetr-l", "yolov5n6u"]
)
def test_parameters_are_those_of_the_models(name: str) -> None:
    checkpoint = entry(name)
    shapes = tensor_shapes(checkpoint.architecture, len(checkpoint.class_names or ()))
    assert checkpoint.num_parameters == shapes.num_parameters


def test_the_built_in_ones_are_whole() -> None:
    for checkpoint in zoo():
        assert load_state(checkpoint)["model.0.conv.weight"].isfinite().all()
        assert checkpoint.class_names
        assert checkpoint.licence
        assert checkpoint.attribution


@pytest.mark.slow
def test_a_fetch_brings_verified_weights(
    home: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviour = Behaviour(content=published.read_bytes(), cut_after=[10**6])
    with serve(behaviour) as base:
        monkeypatch.setenv(ASSETS_VARIABLE, f"{base}/")
        got = fetch(entry())
    assert got.available
    assert got == entry()  # known from now on
    assert fetch(got) is got  # nothing to do
    assert len(behaviour.asked) == 2
    assert load_state(got)["model.0.conv.weight"].shape == (16, 3, 3, 3)
    record = fetched("yolo11n")
    assert record is not None
    assert record.download_sha256 == hashlib.sha256(published.read_bytes()).hexdigest()
    assert list((home / "downloads").glob("*.pt*")) == []


@pytest.mark.slow
def test_a_copy_by_hand_needs_no_network(home: Path, published: Path, store: Store) -> None:
    before = published.read_bytes()
    got = fetch(entry(), file=published)
    assert got.available
    assert published.read_bytes() == before
    assert get_checkpoint(store, "yolo11n").path == got.path
    remove_checkpoint(store, "yolo11n")
    assert not get_checkpoint(store, "yolo11n").available
    assert got.path is not None
    assert not got.path.exists()
    with pytest.raises(UsageError, match="never fetched"):
        remove_checkpoint(store, "yolo11n")


@pytest.mark.slow
def test_another_checkpoint_under_the_name_is_refused(home: Path, nano_pt: Path) -> None:
    with pytest.raises(CheckpointError, match="yolo11n with 3 classes"):
        fetch(entry(), file=nano_pt)
    assert not entry().available
    assert list((home / "checkpoints").glob("*.safetensors")) == []


def test_bytes_that_differ_from_the_first_fetch_are_refused(home: Path, nano_pt: Path) -> None:
    remember("yolo11n", Fetched(sha256="0" * 64, download_sha256="1" * 64))
    with (
        serve(Behaviour(content=nano_pt.read_bytes())) as base,
        pytest.raises(IntegrityError, match="1111") as caught,
    ):
        fetch(entry(), base_url=base)
    assert "recommend checkpoints remove yolo11n" in str(caught.value)
    assert not entry().available
    assert list((home / "downloads").glob("*.pt*")) == []


@pytest.mark.slow
def test_offline_says_how_to_do_it_by_hand(home: Path) -> None:
    with serve(Behaviour(content=b"")) as base:
        pass
    with pytest.raises(UnavailableError) as caught:
        fetch(entry(), base_url=base)
    told = str(caught.value)
    assert f"{base}/yolo11n.pt" in told
    assert "recommend checkpoints fetch yolo11n --from FILE" in told
    assert ASSETS_VARIABLE in told


def test_what_is_not_published_cannot_be_fetched(home: Path) -> None:
    with pytest.raises(UsageError, match="not published"):
        fetch(Checkpoint(name="mine", origin="registry", architecture="yolo11n", family="yolo11"))


@pytest.mark.slow
def test_no_space_for_the_tensors_is_said_so(home: Path, published: Path) -> None:
    with files_of_at_most(10**6), pytest.raises(StorageError, match="full"):
        fetch(entry(), file=published)
    assert not entry().available


@pytest.mark.slow
def test_two_at_once_fetch_once(home: Path, published: Path) -> None:
    behaviour = Behaviour(content=published.read_bytes())
    got: list[Checkpoint] = []
    with serve(behaviour) as base:
        threads = [
            threading.Thread(target=lambda: got.append(fetch(entry(), base_url=base))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got[0] == got[1]
    assert len(behaviour.asked) == 1


def test_a_lost_weights_file_is_not_available(home: Path) -> None:
    remember("yolo11n", Fetched(sha256="0" * 64, download_sha256="1" * 64))
    assert replace(entry(), path=None) == entry()
