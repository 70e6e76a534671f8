"""Brings everything an attempt needs into the storage: data by content hash, weights by sha256."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.errors import DatasetError, NotFoundError, UsageError
from recommender.records import Dataset, Job
from recommender.text import printable
from tune_jobs.artefact_transfer import Artefact, pack_dataset, pack_weights, packed_dataset
from tune_jobs.messages import CARD, InputManifest
from tune_jobs.storage import Storage, get_record, inputs, put_record
from tune_jobs.training_spec import TrainingSpec

if TYPE_CHECKING:
    from recommender.store import Store


def prepare(
    store: Store, storage: Storage, job: Job, spec: TrainingSpec, *, num_threads: int, state_every_s: float
) -> None:
    """Put the inputs there, once for all attempts of a job.

    Raises InputError (the data set cannot be read, or changed; the weights changed) or NotFoundError: trying again
    will not help. Raises StorageError where it may.
    """
    if get_record(storage, inputs(job.id, CARD), InputManifest) is not None:
        return
    weights = _same_weights(store, spec)
    data = _put(storage, job, _packed(store, spec))
    put_record(
        storage,
        inputs(job.id, CARD),
        InputManifest(
            spec=spec,
            data=data,
            weights=None if weights is None else _put(storage, job, weights),
            num_threads=num_threads,
            state_every_s=state_every_s,
        ),
    )


def artefact_name(job_id: str, artefact: Artefact) -> str:
    """The name of an artefact in the storage."""
    return inputs(job_id, f"{artefact.kind}.packed")


def _put(storage: Storage, job: Job, artefact: Artefact) -> Artefact:
    storage.put(artefact_name(job.id, artefact), artefact.source)
    return replace(artefact, source=Path(artefact.source.name))  # the machine's folders are nobody's business


def _packed(store: Store, spec: TrainingSpec) -> Artefact:
    """The data set as a artefact, its images read only where the command that asked has not packed them already.

    The data set becomes the source of the new checkpoint, so its profile must be known as well.
    """
    from recommender.profile.known import known_profile, source_profile

    found = packed_dataset(spec.dataset_hash)
    if found is not None and source_profile(spec.dataset_hash, store) is not None:
        return found
    dataset = _same_dataset(spec)
    known_profile(dataset, store)
    return pack_dataset(dataset)


def _same_dataset(spec: TrainingSpec) -> Dataset:
    from recommender.datasets import open_dataset

    dataset = open_dataset(
        spec.dataset,
        task=spec.task,
        seed=spec.split_seed,
        allowed_roots=tuple(Path(root) for root in spec.allow_roots),
    )
    require_unchanged(dataset, spec.dataset_hash, "training")
    return dataset


def require_unchanged(dataset: Dataset, hash: str, asked: str) -> None:
    """Raise DatasetError where a data set has another content hash than when a training or sweep was asked for.

    Over HTTP that is the hash of the data set as it was given; the command line reads the data when it asks.
    """
    if dataset.content_hash != hash:
        raise DatasetError(
            f"The data set '{printable(dataset.name)}' changed since it was given for this {asked}, or this version "
            f"reads it differently: its content hash is {dataset.content_hash[:12]}…, expected {hash[:12]}….",
            remedy=f"Over HTTP give the data set again (POST /v1/datasets) and ask for the {asked} with its new id; "
            "on the command line ask again.",
        )


def _same_weights(store: Store, spec: TrainingSpec) -> Artefact | None:
    if spec.start.mode == "scratch":
        return None
    from recommender.checkpoints import get_checkpoint

    checkpoint = get_checkpoint(store, spec.start.checkpoint)
    if checkpoint.path is None:
        raise NotFoundError(
            f"The weights of {checkpoint.name!r} are not on this machine any more.",
            remedy="Fetch or add them again, then ask for the training again.",
        )
    if spec.weights_sha256 is None:
        raise UsageError(f"The job does not say which weights of {checkpoint.name!r} it means.")
    return pack_weights(checkpoint.path, sha256=spec.weights_sha256)
