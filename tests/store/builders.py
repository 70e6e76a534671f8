"""Records to store: small ones by hand, and hypothesis strategies for any at all."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from recommender.records import (
    Checkpoint,
    Environment,
    EpochMetrics,
    Evidence,
    Profile,
    Recipe,
    Run,
    SplitCounts,
    Start,
)
from recommender.store.clock import utc_now
from recommender.store.service_records import RecommendationJob, RegisteredDataset
from tune_jobs.training import TrainingJob


def profile(name: str = "masks", *, seed: int = 0, encoder: str = "probe-1", images: int = 7) -> Profile:
    """A profile with vectors that need four bytes a number; `compact` would halve them."""
    rng = np.random.default_rng(seed)
    return Profile(
        dataset_hash=f"{name}-{seed}",
        dataset_name=name,
        class_names=("mask", "no-mask"),
        class_counts=(3, 4),
        num_images=SplitCounts(train=5, val=2),
        num_objects=7,
        box_sizes_Q=(0.1, 0.2, 0.3, 0.4, 0.5),
        box_aspects_Q=(0.5, 0.8, 1.0, 1.2, 2.0),
        median_width=640,
        median_height=480,
        encoder=encoder,
        embedding_D=rng.normal(size=16).astype(np.float32),
        embedding_noise=(0.01, 0.02),
        image_vectors_NK=rng.normal(size=(images, 4)).astype(np.float32),
        image_names=tuple(f"{i}.jpg" for i in range(images)),
        object_vectors_MK=rng.normal(size=(7, 4)).astype(np.float32),
        object_classes_M=rng.integers(0, 2, 7),
        object_images=tuple(f"{i}.jpg" for i in range(7)),
        image_hashes_NB=rng.integers(0, 256, (images, 32), dtype=np.uint8),
    )


def assert_same_profile(one: Profile, other: Profile) -> None:
    """Every field equal, arrays to the bit and in their types."""
    for name, value in vars(one).items():
        found = getattr(other, name)
        if isinstance(value, np.ndarray):
            assert value.dtype == found.dtype, name
            assert np.array_equal(value, found), name
        else:
            assert value == found, name


def checkpoint(name: str = "faces", *, images: int = 100, **changes: object) -> Checkpoint:
    """A registered checkpoint."""
    made = Checkpoint(
        name=name,
        origin="registry",
        architecture="yolo11n",
        family="yolo11",
        class_names=("face",),
        source_images=images,
        sha256="ab" * 32,
        path=Path("/weights/faces.safetensors"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def point(epoch: int, score: float = 0.5) -> EpochMetrics:
    """A point of a curve, every metric of it the score; an epoch takes a second."""
    return EpochMetrics(
        epoch=epoch,
        score=score,
        details=dict.fromkeys(("map50", "map75", "precision", "recall"), score),
        seconds=float(epoch),
    )


def run(
    id: str = "run-1",
    *,
    status: str = "succeeded",
    target: str = "target-1",
    score: float = 0.4,
    **changes: object,
) -> Run:
    """A finished training of three epochs; `changes` are fields of the run."""
    # As the store files of old versions hold it.
    curve = tuple(
        EpochMetrics(
            epoch=epoch,
            score=score * epoch / 3,
            details={"map50": 0.5, "precision": 0.6, "recall": 0.7},
            seconds=1.5 * epoch,
        )
        for epoch in (1, 2, 3)
    )
    made = Run(
        id=id,
        kind="full",
        status="succeeded",
        target_hash=target,
        target_name="masks",
        start=Start(checkpoint="faces", mode="full"),
        weights_sha256="ab" * 32,
        source_hash=None,
        architecture="yolo11n",
        recipe=Recipe(epochs=3, imgsz=224),
        num_train_images=118,
        curve=curve,
        starting_score=None,
        best=curve[-1],
        seconds=4.5,
        peak_memory_mb=512.0,
        batch_used=16,
        optimizer_used="AdamW",
        learning_rate_used=1e-3,
        weights_transferred=0.93,
        environment=Environment(hardware="x86", device="cpu", num_threads=2, versions={"torch": "2"}),
        created_at="2026-01-01T00:00:00Z",
    )
    return replace(made, status=status, **changes)  # type: ignore[arg-type]


# Any character at all: NUL, lone surrogates (file names that are not UTF-8), quotes, emoji.
any_text = st.text(st.characters(codec=None), max_size=12)
keys = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(-(2**62), 2**62)


def _maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


def _tuples(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


paths = st.text(st.characters(codec=None, exclude_characters="\0"), min_size=1, max_size=12).map(
    lambda text: Path("/") / text
)
epochs = st.builds(
    EpochMetrics,
    epoch=counts,
    score=numbers,
    details=st.dictionaries(st.sampled_from(["map50", "map75", "precision", "recall"]), numbers),
    seconds=numbers,
)
starts = st.builds(Start, checkpoint=keys, mode=st.sampled_from(["full", "freeze", "scratch"]))
recipes = st.builds(
    Recipe,
    epochs=counts,
    imgsz=counts,
    learning_rate=_maybe(numbers),
    patience=_maybe(counts),
    normalisation=st.sampled_from(["batch", "group"]),
    fraction=numbers,
    schedule_epochs=_maybe(counts),
)
environments = st.builds(
    Environment,
    hardware=any_text,
    device=any_text,
    num_threads=counts,
    versions=st.dictionaries(any_text, any_text, max_size=2),
    num_processes=counts,
)
runs = st.builds(
    Run,
    id=keys,
    kind=st.sampled_from(["trial", "full"]),
    status=st.sampled_from(["succeeded", "stopped", "failed"]),
    target_hash=keys,
    target_name=any_text,
    start=starts,
    weights_sha256=_maybe(keys),
    source_hash=_maybe(keys),
    architecture=any_text,
    recipe=recipes,
    num_train_images=counts,
    curve=_tuples(epochs),
    starting_score=_maybe(numbers),
    best=_maybe(epochs),
    seconds=numbers,
    peak_memory_mb=_maybe(numbers),
    batch_used=_maybe(counts),
    optimizer_used=_maybe(any_text),
    learning_rate_used=_maybe(numbers),
    weights_transferred=_maybe(numbers),
    environment=environments,
    notes=_tuples(any_text),
    error=_maybe(any_text),
    created_at=st.just("2026-01-01T00:00:00Z"),
)
checkpoints = st.builds(
    Checkpoint,
    name=keys,
    origin=st.sampled_from(["zoo", "catalogue", "registry"]),
    architecture=any_text,
    family=any_text,
    num_parameters=_maybe(counts),
    class_names=_maybe(_tuples(any_text)),
    licence=_maybe(any_text),
    source_name=_maybe(any_text),
    source_score=_maybe(numbers),
    path=_maybe(paths),
)
evidences = st.builds(
    Evidence,
    similarity=_maybe(numbers),
    class_overlap=_maybe(numbers),
    scores=st.dictionaries(any_text, _maybe(numbers), max_size=3),
    nearest_sources=_tuples(any_text),
)


def recommendation_job(id: str = "rec_1", **changes: object) -> RecommendationJob:
    """A question that waits for its answer."""
    job = RecommendationJob(
        id=id,
        owner="ada",
        dataset_id="ds_1",
        dataset_hash="hash",
        question="{}",
        cache_key=f"key of {id}",
        status="queued",
        created_at=utc_now(),
    )
    return replace(job, **changes)  # type: ignore[arg-type]


def registered_dataset(id: str = "ds_1", **changes: object) -> RegisteredDataset:
    """A data set that was uploaded to a service, with names that must be escaped."""
    dataset = RegisteredDataset(
        id=id,
        owner="ada",
        name="<b>masks</b>\x00\ud800",
        dataset_hash="hash",
        origin="upload",
        path="/uploads/1/a.zip",
        format="yolo",
        class_names=("a", "b\n"),
        num_images=SplitCounts(train=3, val=1),
        num_objects=7,
        created_at=utc_now(),
    )
    return replace(dataset, **changes)  # type: ignore[arg-type]


def training_job(folder: Path, **changes: object) -> TrainingJob:
    """A training of random weights on the data in a folder."""
    job = TrainingJob(
        data=folder,
        output=folder,
        start=Start(checkpoint="scratch", mode="scratch"),
        architecture="yolo11n",
        recipe=Recipe(epochs=3, imgsz=64),
        kind="full",
        target_hash="t",
        target_name="t",
    )
    return replace(job, **changes)  # type: ignore[arg-type]
