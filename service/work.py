"""What worker processes do. Each function takes and returns plain values, and opens the store once per process."""

from __future__ import annotations

import functools
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

from recommender.home import subfolder
from recommender.records import SplitCounts
from recommender.store import Store

PROGRESS_EVERY_S = 0.3


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an upload turned out to be."""

    name: str
    dataset_hash: str
    format: str
    class_names: tuple[str, ...]
    num_images: SplitCounts
    num_objects: int


@functools.cache
def _store(url: str) -> Store:
    return Store(url)


def warm() -> None:
    """Load what answers need, so that the first one does not wait for it."""
    import torch  # noqa: F401

    import recommender.pipeline  # noqa: F401


def read_dataset(path: str, seed: int) -> Reading:
    """Open a data set. Raises InputError for one that cannot be used."""
    from recommender.datasets import open_dataset

    dataset = open_dataset(path, seed=seed)
    counts = {split: len(dataset.of_split(split)) for split in ("train", "val", "test")}
    return Reading(
        name=dataset.name,
        dataset_hash=dataset.content_hash,
        format=dataset.format,
        class_names=dataset.class_names,
        num_images=SplitCounts(**counts),
        num_objects=sum(len(image.classes_M) for image in dataset.images),
    )


def examine_dataset(path: str, seed: int, thumbnails: str) -> str:
    """Inspect a data set's health and draw its thumbnails; returns the health as JSON."""
    from recommender.datasets import open_dataset
    from recommender.datasets.inspection import inspect_dataset
    from recommender.report.inspection import inspection_document
    from service.thumbnails import draw_thumbnails

    dataset = open_dataset(path, seed=seed)
    draw_thumbnails(dataset, Path(thumbnails))
    return json.dumps(inspection_document(inspect_dataset(dataset)))


def register_checkpoint(
    store_url: str, file: str, name: str, source: str | None, licence: str | None, from_scratch: bool
) -> str:
    """Admit weights through the quarantine and profile what they were trained on; returns the name."""
    from recommender.checkpoints import add_checkpoint
    from recommender.datasets import open_dataset

    dataset = None if source is None else open_dataset(source)
    return add_checkpoint(
        _store(store_url),
        Path(file),
        name=name,
        dataset=dataset,
        licence=licence,
        from_scratch=from_scratch,
    ).name


def answer_question(store_url: str, topic: str, request: str) -> str:
    """One recommendation, from the request's JSON to the document's; progress goes into the store."""
    from recommender.pipeline import answer
    from recommender.report.document import document
    from recommender.requests import RecommendRequest

    store = _store(store_url)
    recommendation = answer(
        RecommendRequest.model_validate_json(request), store=store, progress=Reporter(store, topic)
    )
    published = document(recommendation)
    return published.model_copy(update={"command": _without_our_folders(published.command)}).model_dump_json()


def _without_our_folders(command: str) -> str:
    """Where the service keeps an upload is nobody's business; the user's own copy has the same name and layout."""
    ours = "|".join(re.escape(str(subfolder(name))) for name in ("unpacked", "uploads"))
    return re.sub(rf"(?:{ours})/[^/\s]+/", "", command)


class Reporter:
    """Progress as events: the first and last step of a stage, and between them no more than a few a second."""

    def __init__(self, store: Store, topic: str) -> None:
        self._store = store
        self._topic = topic
        self._stage = ""
        self._at = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and done < total and now - self._at < PROGRESS_EVERY_S:
            return
        self._stage, self._at = stage, now
        self._store.add_event(self._topic, "progress", {"stage": stage, "done": done, "total": total})
