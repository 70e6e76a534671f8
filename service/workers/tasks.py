"""The tasks of worker processes. Each takes and returns plain values; the store is opened once per process."""

from __future__ import annotations

import functools
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from recommender.errors import ConflictError, UnsafeInputError
from recommender.home import subfolder
from recommender.records import Dataset, SplitCounts
from recommender.store import Store
from recommender.tasks import Task

PROGRESS_EVERY_S = 0.3


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """Name, content hash, format, classes and counts of a data set that was read."""

    name: str
    dataset_hash: str
    format: str
    class_names: tuple[str, ...]
    num_images: SplitCounts
    num_objects: int
    unpacked: str | None  # the folder with an archive's contents
    num_bytes: int  # of the archive and its contents
    task: Task  # what it was read for
    defects: tuple[str, ...] = ()  # kinds of what was found while reading


@dataclass(frozen=True, kw_only=True)
class Source:
    """A held data set that a checkpoint was trained on."""

    path: str
    roots: tuple[str, ...] | None
    dataset_hash: str
    task: Task | None = None  # None: its labels tell


@functools.cache
def _store(url: str) -> Store:
    return Store(url)


def warm() -> None:
    """Import what recommendations need, so that the first one does not wait for it."""
    import torch  # noqa: F401

    import recommender.pipeline  # noqa: F401


def read_dataset(
    path: str, seed: int, roots: tuple[str, ...] | None, task: Task | None = None
) -> DatasetSummary:
    """The summary of a data set. Raises InputError for one that cannot be used.

    `roots` are the folders below which it must lie, None for an upload; `task` None is told by its labels.
    """
    from recommender.datasets.archive import is_archive, unpacked_folder

    dataset = _open(path, seed, roots, task)
    file = Path(path)
    unpacked = unpacked_folder(file) if file.is_file() and is_archive(file) else None
    return DatasetSummary(
        name=dataset.name,
        dataset_hash=dataset.content_hash,
        format=dataset.format,
        class_names=dataset.class_names,
        num_images=dataset.num_images,
        num_objects=sum(len(image.classes_M) for image in dataset.images),
        unpacked=None if unpacked is None else str(unpacked),
        num_bytes=num_bytes_of(file) + (0 if unpacked is None else num_bytes_of(unpacked)),
        task=dataset.task,
        defects=tuple(defect.kind for defect in dataset.defects),
    )


def inspect_uploaded_dataset(source: Source, seed: int, thumbnails: str) -> str:
    """Inspect a data set and draw its thumbnails; returns the inspection as JSON."""
    from recommender.datasets.inspection import inspect_dataset
    from recommender.report.inspection import inspection_document
    from service.workers.thumbnails import write_thumbnails

    dataset = _open_same(source, seed)
    write_thumbnails(dataset, Path(thumbnails))
    return inspection_document(inspect_dataset(dataset)).to_json()


def register_checkpoint(
    store_url: str,
    file: str,
    name: str,
    source: Source | None,
    licence: str | None,
    from_scratch: bool,
    owner: str,
) -> str:
    """Import weights through the quarantine process and profile their source; returns the checkpoint's name."""
    from recommender.checkpoints import add_checkpoint

    dataset = None if source is None else _open_same(source, 0)
    return add_checkpoint(
        _store(store_url),
        Path(file),
        name=name,
        dataset=dataset,
        licence=licence,
        from_scratch=from_scratch,
        owner=owner,
    ).name


def compute_recommendation(store_url: str, job_id: str, request: str) -> str:
    """The recommendation document (JSON) of a RecommendRequest (JSON); progress is written to the store as events."""
    from recommender.pipeline import answer
    from recommender.report.document import document
    from recommender.requests import RecommendRequest

    store = _store(store_url)
    recommendation = answer(
        RecommendRequest.model_validate_json(request), store=store, progress=ProgressEvents(store, job_id)
    )
    published = document(recommendation)
    train, line = _without_our_folders(published.train_command or ""), published.headline
    commands = {
        "command": _without_our_folders(published.command),
        "train_command": train,
        "headline": line and replace(line, command=train),
    }
    return published.model_copy(update=commands).model_dump_json()


def _open(path: str, seed: int, roots: tuple[str, ...] | None, task: Task | None) -> Dataset:
    """Open a data set that must lie below one of the folders, before it is read and after.

    Its path was checked when the request came; meanwhile a folder on the way may have become a link.
    """
    from recommender.datasets import open_dataset

    _require_inside(Path(path), roots)
    dataset = open_dataset(path, task=task, seed=seed, follow_links=roots is None)
    _require_inside(Path(path), roots)
    for folder in {image.path.parent for image in dataset.images} if roots is not None else ():
        _require_inside(folder, roots)
    return dataset


def _open_same(source: Source, seed: int) -> Dataset:
    """Open a held data set. Raises ConflictError when its content is no longer what was registered."""
    dataset = _open(source.path, seed, source.roots, source.task)
    if dataset.content_hash != source.dataset_hash:
        raise ConflictError(
            "The data set has changed since it was given to the service.",
            remedy="Give it again: POST /v1/datasets.",
        )
    return dataset


def _require_inside(path: Path, roots: tuple[str, ...] | None) -> None:
    if roots is not None and not any(path.resolve().is_relative_to(root) for root in roots):
        raise UnsafeInputError(
            "This path is not below a folder that the service may read.",
            remedy="Upload the data set, or ask the operator for --allow-root.",
        )


def num_bytes_of(place: Path) -> int:
    """Bytes on disk of a file, or of all files below a folder; 0 where there is nothing."""
    files = place.rglob("*") if place.is_dir() else (place,)
    return sum(file.lstat().st_size for file in files if file.is_file() or file.is_symlink())


def _without_our_folders(command: str) -> str:
    """The command without the service's own upload folders; the user's copy has the same name and layout."""
    ours = "|".join(re.escape(str(subfolder(name))) for name in ("unpacked", "uploads"))
    return re.sub(rf"(?:{ours})/[^/\s]+/", "", command)


class ProgressEvents:
    """Writes progress events: the first and last step of a stage, between them one every PROGRESS_EVERY_S."""

    def __init__(self, store: Store, job_id: str) -> None:
        self._store = store
        self._job_id = job_id
        self._stage = ""
        self._at = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._at < PROGRESS_EVERY_S:
            return
        self._stage, self._at = stage, now
        self._store.recommendations.add_progress(self._job_id, stage, done, total)
