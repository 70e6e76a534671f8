"""Artefacts and states through Ray, for nodes that share no disk with the driver's.

The node that packed a artefact puts its chunks into the object store and others pull them: the store moves chunks
from node to node by itself and spills to disk what does not fit in memory. Nothing is sent to a node that has the
artefact already. The other way, trainings leave their states here, so that another node can go on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recommender.errors import IntegrityError
from recommender.home import subfolder
from tune_jobs.artefact_transfer import Artefact, deliver, read_chunks
from tune_jobs.chunks import chunks_of
from tune_jobs.sweep.resume_states import keep_state, state_path, take_state
from tune_jobs.sweep.trained import keep_trained

KEEPERS = {"state": keep_state, "weights": keep_trained}
AHEAD = 4  # chunks under way while one is written


class ArtefactStore:
    """Runs as a Ray actor on the node where the artefacts lie. Chunks are put when first asked for."""

    def __init__(self) -> None:
        self._references: dict[str, list[Any]] = {}
        self._arriving: dict[str, Path] = {}

    def references(self, artefact: Artefact) -> list[Any]:
        """Object references of the artefact's chunks, in order."""
        import ray

        if artefact.sha256 not in self._references:
            self._references[artefact.sha256] = [ray.put(chunk) for chunk in read_chunks(artefact)]
        return self._references[artefact.sha256]

    def keep(self, sender: str, id: str, chunk: bytes | None, what: str = "state") -> None:
        """Take one chunk of a run's state, or of its trained weights; None ends it."""
        # In one folder for all: Ray ends actors without a word, so none could take a folder of its own away.
        path = self._arriving.setdefault(sender, subfolder("arriving") / f"{uuid.uuid4().hex}.part")
        if chunk is not None:
            with path.open("ab") as file:
                file.write(chunk)
            return
        KEEPERS[what](id, path)
        path.unlink()

    def state(self, id: str) -> list[Any]:
        """Object references of the chunks of a run's state; empty when there is none."""
        import ray

        try:
            return [ray.put(chunk) for chunk in chunks_of(state_path(id))]
        except FileNotFoundError:
            return []


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


def send_state(artefact_store: Any | None, sender: str, id: str, source: Path) -> None:
    """Leave a run's state on the driver's node."""
    _send(artefact_store, sender, id, source, "state")


def send_weights(artefact_store: Any | None, sender: str, id: str, source: Path) -> None:
    """Leave a run's trained weights on the driver's node."""
    _send(artefact_store, f"{sender}-weights", id, source, "weights")


def fetch_state(artefact_store: Any | None, id: str, target: Path) -> bool:
    """Copy a run's state to `target`; False when there is none."""
    if artefact_store is None:
        return take_state(id, target)
    import ray

    references = ray.get(artefact_store.state.remote(id))
    if not references:
        return False
    with target.open("wb") as file:
        for reference in references:
            file.write(ray.get(reference))
    return True


def _send(artefact_store: Any | None, sender: str, id: str, source: Path, what: str) -> None:
    if artefact_store is None:
        KEEPERS[what](id, source)
        return
    import ray

    for chunk in chunks_of(source):
        ray.get(artefact_store.keep.remote(sender, id, chunk, what))
    ray.get(artefact_store.keep.remote(sender, id, None, what))


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
