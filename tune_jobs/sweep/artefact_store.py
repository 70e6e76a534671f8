"""Artefacts through Ray, for nodes that share no disk with the driver's.

The node that packed a artefact puts its chunks into the object store and others pull them: the store moves chunks
from node to node by itself and spills to disk what does not fit in memory. Nothing is sent to a node that has the
artefact already. The other way, trainings leave states and weights here as files, so that another node can go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recommender.errors import IntegrityError
from recommender.home import home
from tune_jobs.actor_storage import ActorStorage, StorageActor
from tune_jobs.artefact_transfer import Artefact, deliver, read_chunks
from tune_jobs.storage import Storage, UrlStorage

AHEAD = 4  # chunks under way while one is written


class ArtefactStore(StorageActor):
    """Runs as a Ray actor on the node where the artefacts lie. Chunks are put when first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._references: dict[str, list[Any]] = {}

    def references(self, artefact: Artefact) -> list[Any]:
        """Object references of the artefact's chunks, in order."""
        import ray

        if artefact.sha256 not in self._references:
            self._references[artefact.sha256] = [ray.put(chunk) for chunk in read_chunks(artefact)]
        return self._references[artefact.sha256]


def open_artefact_store(node_id: str) -> Any:
    """Start the artefact store on that node and return its handle; it ends with the handle."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    place = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    return ray.remote(ArtefactStore).options(num_cpus=0, scheduling_strategy=place, max_restarts=1).remote()


def deliver_from(artefact_store: Any | None, artefact: Artefact) -> Path:
    """The artefact in this node's cache. `artefact_store` None is for the node where the artefacts lie."""
    if artefact_store is None:
        return deliver(artefact, read_chunks)
    return deliver(artefact, lambda wanted: _pull(artefact_store, wanted))


def files_at(artefact_store: Any | None) -> Storage:
    """The home of the node where the artefacts lie, as a storage; `artefact_store` None is for that node itself."""
    return UrlStorage(str(home())) if artefact_store is None else ActorStorage(lambda: artefact_store)


def _pull(artefact_store: Any, artefact: Artefact) -> Iterator[bytes]:
    import ray

    try:
        references = ray.get(artefact_store.references.remote(artefact))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, IntegrityError):
            raise error.cause from None  # without the store's traceback
        raise
    for number, reference in enumerate(references):
        ray.wait(references[number : number + AHEAD], num_returns=1, timeout=0, fetch_local=True)
        yield ray.get(reference)
