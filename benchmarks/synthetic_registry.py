"""A store with many registered checkpoints, each with a source profile of its own, and with many runs.

The profiles are mixtures of the shipped ones: the embedding of a mixture of two data sets is the mixture of theirs, so
these are embeddings that real data sets have. Each is then moved a little, since no mixture leaves their hull.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from recommender.checkpoints import zoo
from recommender.forecast.history import builtin_history
from recommender.profile.shipped import builtin_profiles
from recommender.records import Checkpoint, Profile, Run, SplitCounts, Start
from recommender.store import Store
from recommender.store.codec import compact
from recommender.store.runs import record_run

BATCH = 500
SAMPLE_IMAGES, SAMPLE_OBJECTS, MAX_HASHES = 64, 128, 400
RUNS_PER_TARGET = 40


def fill_registry(store: Store, count: int) -> None:
    """Register `count` checkpoints of as many sources; their weights are those of the built-in ones."""
    rng = np.random.default_rng(0)
    for start in range(0, count, BATCH):
        profiles = [synthetic_profile(number, rng) for number in range(start, min(count, start + BATCH))]
        store.profiles.put_all(profiles)
        store.checkpoints.put_all(
            [_checkpoint(number, one, rng) for number, one in enumerate(profiles, start)]
        )


def fill_history(store: Store, count: int) -> None:
    """Record `count` runs on further data sets of the same kind, RUNS_PER_TARGET on each."""
    rng = np.random.default_rng(1)
    templates = [run for run in builtin_history("detect").runs if run.best is not None]
    targets = [synthetic_profile(10**9 + number, rng) for number in range(-(-count // RUNS_PER_TARGET))]
    store.profiles.put_all(targets)
    for start in range(0, count, BATCH):
        batch = [
            _run(number, targets[number // RUNS_PER_TARGET], templates, rng)
            for number in range(start, min(count, start + BATCH))
        ]
        store.write(lambda session, batch=batch: [record_run(session, run) for run in batch])  # type: ignore[misc]


def own_weights(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """The checkpoint with a weights file of its own, which differs in the last number's last bits."""
    if checkpoint.path is None:
        raise ValueError(f"{checkpoint.name} has no weights")
    content = bytearray(checkpoint.path.read_bytes())
    content[-4:-2] = hashlib.sha256(checkpoint.name.encode()).digest()[:2]
    sha256 = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{sha256}.safetensors"
    file.write_bytes(content)
    return replace(checkpoint, sha256=sha256, path=file)


def synthetic_profile(number: int, rng: np.random.Generator) -> Profile:
    """A data set that holds parts of two shipped ones, and something of its own."""
    shipped = sorted(builtin_profiles().values(), key=lambda profile: profile.dataset_name)
    a, b = (shipped[i] for i in rng.choice(len(shipped), 2, replace=False))
    share = rng.beta(0.5, 0.5)
    half = len(a.embedding_D) // 2
    own_D = rng.normal(size=2 * half) * np.sqrt(rng.uniform(0.0, 0.25) / (4 * half))
    images = int(np.exp(rng.uniform(np.log(60), np.log(20_000))))
    names = a.class_names if share >= 0.5 else b.class_names
    sizes = np.clip(
        np.array(a.box_sizes_Q if share >= 0.5 else b.box_sizes_Q) * np.exp(rng.normal() * 0.4), 0, 1
    )
    objects_MK = _mixed(a.object_vectors_MK, b.object_vectors_MK, share, SAMPLE_OBJECTS, rng)
    images_NK = _mixed(a.image_vectors_NK, b.image_vectors_NK, share, SAMPLE_IMAGES, rng)
    return compact(
        replace(
            a,
            dataset_hash=hashlib.sha256(f"synthetic {number}".encode()).hexdigest(),
            dataset_name=f"set{number}",
            class_names=names,
            class_counts=tuple([images] * len(names)),
            num_images=SplitCounts(train=images, val=images // 5),
            num_objects=images * len(names),
            box_sizes_Q=tuple(float(size) for size in sizes),
            embedding_D=(share * a.embedding_D + (1 - share) * b.embedding_D + own_D).astype(np.float32),
            embedding_noise=(0.5 / images, 0.5 / images),
            image_vectors_NK=images_NK,
            image_names=tuple(f"{i}.jpg" for i in range(len(images_NK))),
            object_vectors_MK=objects_MK,
            object_classes_M=rng.integers(0, len(names), len(objects_MK)),
            object_images=tuple(f"{i}.jpg" for i in range(len(objects_MK))),
            image_hashes_NB=rng.integers(0, 256, (min(images, MAX_HASHES), 32)).astype(np.uint8),
        )
    )


def _mixed(
    a_NK: np.ndarray, b_NK: np.ndarray, share: float, count: int, rng: np.random.Generator
) -> np.ndarray:
    taken = round(count * share)
    rows = [part[rng.permutation(len(part))[:size]] for part, size in ((a_NK, taken), (b_NK, count - taken))]
    mixed: np.ndarray = np.concatenate(rows)
    return mixed[rng.permutation(len(mixed))]


def _checkpoint(number: int, source: Profile, rng: np.random.Generator) -> Checkpoint:
    template = zoo()[number % len(zoo())]
    return replace(
        template,
        name=f"synthetic-{number:06d}",
        origin="registry",
        class_names=source.class_names,
        source_name=source.dataset_name,
        source_hash=source.dataset_hash,
        source_images=source.num_images.train,
        source_score=float(rng.beta(4, 4)),
        from_scratch=False,
        sha256=hashlib.sha256(f"weights {number}".encode()).hexdigest(),
    )


def _run(number: int, target: Profile, templates: list[Run], rng: np.random.Generator) -> Run:
    template = templates[int(rng.integers(len(templates)))]
    score = float(np.clip(template.best.score + 0.1 * rng.normal(), 0.01, 0.99)) if template.best else 0.5
    curve = tuple(
        replace(point, score=score * (i + 1) / len(template.curve)) for i, point in enumerate(template.curve)
    )
    return replace(
        template,
        id=f"synthetic-{number}",
        target_hash=target.dataset_hash,
        target_name=target.dataset_name,
        start=Start(checkpoint=template.start.checkpoint, mode=template.start.mode),
        curve=curve,
        best=curve[-1],
        created_at=f"2026-01-01T00:00:00.{number:06d}+00:00",
    )
