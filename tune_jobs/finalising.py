"""Takes an attempt's outcome in: results checked, the checkpoint registered, the run remembered."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.errors import CheckpointError, IntegrityError
from recommender.records import Checkpoint, Job, Run
from tune_jobs.messages import AttemptOutcome, ResultFile
from tune_jobs.storage import Storage, attempt
from tune_jobs.training_spec import TrainingSpec

if TYPE_CHECKING:
    from recommender.families.ultralytics.architectures import Architecture
    from recommender.store import Store

WEIGHTS = "weights/best.safetensors"


def finalise(
    store: Store, storage: Storage, job: Job, spec: TrainingSpec, outcome: AttemptOutcome, *, artefacts: str
) -> None:
    """End the job as its outcome says. Raises IntegrityError when what arrived is not what was sent."""
    run = None if outcome.run is None else replace(outcome.run, estimate=spec.estimate)
    if outcome.status == "failed" or run is None:
        store.launches.finish(job.id, job.attempt, status="failed", run=run, error=outcome.error)
        return
    with _kept(store, storage, job, outcome.files) as (weights, sha256):
        checkpoint = _checkpoint_of(spec, run, weights, sha256)
        store.launches.finish(
            job.id,
            job.attempt,
            status="succeeded",
            run=run,
            checkpoint=checkpoint,
            artefacts=artefacts,
        )


def download(storage: Storage, job: Job, outcome: AttemptOutcome, folder: Path) -> Path:
    """Bring the results below `folder`; returns where they lie. Raises IntegrityError as `fetch_result`."""
    place = folder / attempt(job.id, job.attempt, "results")
    for file in outcome.files:
        target = (place / file.name).resolve()
        if not target.is_relative_to(place.resolve()):
            raise IntegrityError(f"Job {job.id} names a result outside its folder: {file.name!r}.")
        fetch_result(storage, job, file, target)
    return place


def fetch_result(storage: Storage, job: Job, file: ResultFile, target: Path) -> None:
    """Copy a result to a local file. Raises IntegrityError when it is not there, or damaged."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if storage.get(attempt(job.id, job.attempt, f"results/{file.name}"), target):
        with target.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() == file.sha256:
                return
    raise IntegrityError(
        f"The result {file.name} of job {job.id} is missing in the storage, or damaged there.",
        remedy="Ask for the training again, and check that disk.",
    )


@contextmanager
def _kept(
    store: Store, storage: Storage, job: Job, files: tuple[ResultFile, ...]
) -> Iterator[tuple[Path, str]]:
    """The trained weights in our registry's folder and their sha256; they stay if the store has them at the end."""
    from recommender.checkpoints.kept_weights import keeping, user_of
    from recommender.home import subfolder

    weights = next((file for file in files if file.name == WEIGHTS), None)
    if weights is None:
        raise CheckpointError(f"Job {job.id} left no {WEIGHTS}.", remedy="Ask for the training again.")
    with tempfile.TemporaryDirectory(dir=subfolder("checkpoints"), prefix=".arriving-") as folder:
        file = Path(folder) / "best.safetensors"
        fetch_result(storage, job, weights, file)  # before the lock: it may come from far away
        with keeping(file, weights.sha256, user_of(store)) as place:
            yield place, weights.sha256


def _checkpoint_of(spec: TrainingSpec, run: Run, weights: Path, sha256: str) -> Checkpoint:
    num_parameters, class_names = _read_header(weights)
    return Checkpoint(
        name=spec.name,
        origin="registry",
        architecture=spec.architecture,
        family=_kind(spec.architecture).family,
        task=_kind(spec.architecture).kind.task,
        num_parameters=num_parameters,
        class_names=class_names,
        licence=spec.licence,
        source_name=spec.dataset_name,
        source_hash=spec.dataset_hash,
        source_images=run.num_train_images,
        source_score=None if run.best is None else run.best.score,
        train_imgsz=spec.recipe.imgsz,
        train_epochs=len(run.curve),
        from_scratch=spec.start.mode == "scratch",
        sha256=sha256,
        path=weights,
        lineage=spec.lineage,
    )


def _read_header(file: Path) -> tuple[int, tuple[str, ...]]:
    import json
    import math

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as weights:
            metadata = weights.metadata() or {}
            shapes = {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
        names = tuple(str(name) for name in json.loads(metadata["class_names"]))
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"The trained weights cannot be read: {error}.") from error
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(buffers)), names


def _kind(architecture: str) -> Architecture:
    from recommender.families.ultralytics.architectures import architecture as known

    return known(architecture)
