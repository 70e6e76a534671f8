"""A storage on the disk of one node, kept by a Ray actor there: for clusters where no disk is shared."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from recommender.errors import StorageError
from recommender.home import home, subfolder
from tune_jobs.chunks import CHUNK_BYTES, chunk_at, put_chunk

SCHEME = "actor://"
NAMESPACE = "recommender"
TIMEOUT_S = 60.0


class StorageActor:
    """Runs as an actor. Files below a folder of its node's home, the home itself unless one is named."""

    def __init__(self, folder: str = "") -> None:
        self._root = home() / folder  # the same after a restart of the actor

    def write(self, name: str, part: str, offset: int, data: bytes, *, last: bool) -> None:
        """Append to a file that becomes visible with its last chunk. `part` names this transfer."""
        aside = subfolder("arriving") / f"{part}.part"
        put_chunk(aside, offset, data)
        if last:
            place = self._place(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            aside.replace(place)

    def read(self, name: str, offset: int) -> tuple[bytes, int] | None:
        """A chunk and the size of the file; None when there is none."""
        try:
            return chunk_at(self._place(name), offset), self._place(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, prefix: str) -> None:
        """Delete a file or folder."""
        place = self._place(prefix)
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/"):
            raise ValueError(f"{name!r} is not a name inside the storage")
        return self._root.joinpath(*parts)


class ActorStorage:
    """Speaks to the storage actor that `find` returns; it is found again after an error."""

    def __init__(self, find: Callable[[], Any], *, timeout_s: float | None = None) -> None:
        self._find, self._timeout_s = find, timeout_s
        self._actor: Any = None

    def put(self, name: str, source: Path) -> None:
        part, offset, last = uuid.uuid4().hex, 0, False
        # Opened once: a training replaces its state while the last one is sent.
        with source.open("rb") as file:
            while not last:
                data = file.read(CHUNK_BYTES)
                last = len(data) < CHUNK_BYTES
                self._ask("write", name, part, offset, data, last=last)
                offset += len(data)

    def get(self, name: str, target: Path) -> bool:
        with target.open("wb") as file:
            while True:
                found = self._ask("read", name, file.tell())
                if found is None:
                    break
                data, size = found
                file.write(data)
                if file.tell() >= size or not data:
                    return True
        target.unlink()
        return False

    def remove(self, prefix: str) -> None:
        self._ask("remove", prefix)

    def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        import ray
        from ray.exceptions import RayError

        try:
            if self._actor is None:
                self._actor = self._find()
            answer = getattr(self._actor, method).remote(*arguments, **options)
            return ray.get(answer, timeout=self._timeout_s)
        except (RayError, ConnectionError, RuntimeError) as error:
            self._actor = None
            told = getattr(error, "cause", None) or error  # without the traceback of the actor
            raise StorageError(
                f"The storage on the cluster failed: {' '.join(str(told).split())[:300]}.",
                remedy="Check that the cluster runs and its head has free disk space, or name a --storage.",
            ) from error


def head_storage(url: str) -> ActorStorage:
    """The storage `actor://NAME` on the disk of the cluster's head, kept there by an actor that outlives us."""
    return ActorStorage(partial(_keeper, url.removeprefix(SCHEME)), timeout_s=TIMEOUT_S)


def _keeper(name: str) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if not ray.is_initialized():  # inside a job: its own cluster
        ray.init(address="auto", namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
    head = next(node for node in ray.nodes() if "node:__internal_head__" in node["Resources"])
    return (
        ray.remote(StorageActor)
        .options(
            name=f"storage-{name}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=3,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=head["NodeID"], soft=False),
        )
        .remote(f"storage/{name}")
    )
