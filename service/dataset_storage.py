"""Storage of the data sets that owners gave to the service: reading, quota, inspection, deletion."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

from recommender.datasets.archive import is_archive, unpacked_folder
from recommender.errors import NotFoundError, RecommenderError, UnavailableError, UnsafeInputError
from recommender.home import subfolder
from recommender.leftovers import REGISTERED
from recommender.store import Store
from recommender.store.clock import utc_now
from recommender.store.service_records import RegisteredDataset
from recommender.tasks import Task
from service.auth import Caller
from service.logs import logger, where
from service.problems import HTTPProblem
from service.server_paths import without_server_paths
from service.settings import MB, ServiceSettings
from service.uploads import Upload, uploads_folder
from service.workers import tasks
from service.workers.pools import TaskResult, WorkerPools, task_result
from service.workers.thumbnails import thumbnail_folder

SEED = 0  # of the split, where a data set has none of its own
MAX_INSPECTIONS = 3  # of one data set, while the process that inspects it dies
INSPECTION_TIMEOUT_S = 1800.0


class DatasetStorage:
    """Reads, registers, inspects and deletes data sets. Thread-safe."""

    def __init__(self, store: Store, pools: WorkerPools, settings: ServiceSettings) -> None:
        self._store = store
        self._pools = pools
        self._settings = settings
        self._inspecting: set[str] = set()
        self._died: Counter[str] = Counter()  # inspections whose process died, by data set
        self._lock = threading.Lock()

    def check_quota(self, caller: Caller) -> None:
        """Raise HTTPProblem 429 when the owner's uploads, unpacked, and weights take more than `max_held_mb`."""
        total = sum(
            dataset.num_bytes or size_of(Path(dataset.path))
            for dataset in self._store.datasets.of_owner(caller.owner)
            if dataset.origin == "upload"
        )
        weights = {c.path for c in self._store.checkpoints.list() if c.owner == caller.owner}
        total += sum(size_of(path) for path in weights if path is not None)
        if total > self._settings.max_held_mb * MB:
            raise HTTPProblem(
                429,
                "quota",
                f"Your data sets and checkpoints take {total // MB} MB; {self._settings.max_held_mb} MB are allowed.",
                remedy="DELETE /v1/datasets/{id} or /v1/checkpoints/{name} for those you no longer need.",
            )

    def resolve_allowed_path(self, path: str) -> Path:
        """The resolved path of a folder below `dataset_roots`. Raises UnsafeInputError, NotFoundError."""
        refused = UnsafeInputError(
            "This path is not below a folder that the service may read.",
            remedy="Upload the data set, or ask the operator for --allow-root.",
        )
        if "\x00" in path or not Path(path).is_absolute():
            raise refused
        try:
            resolved = Path(path).resolve()
            inside = any(resolved.is_relative_to(root) for root in self._settings.dataset_roots)
        except (OSError, RuntimeError, ValueError) as error:
            raise refused from error
        if not inside:  # the same answer whether it exists or not
            raise refused
        if not resolved.exists():
            raise NotFoundError(f"There is no {resolved.name!r} in that folder.", remedy="Check the path.")
        return resolved

    def submit_read(
        self, caller: Caller, path: Path, upload: Upload | None, task: Task | None
    ) -> Future[TaskResult[tasks.DatasetSummary]]:
        """Read a data set in a worker process; the result is for `register`."""
        roots = None if upload is not None else self._roots
        return self._pools.submit_read(
            caller.owner, self._settings.open_timeout_s, tasks.read_dataset, str(path), SEED, roots, task
        )

    def source_of(self, held: RegisteredDataset) -> tasks.Source:
        """The data set as worker tasks are told of it."""
        roots = None if held.origin == "upload" else self._roots
        return tasks.Source(path=held.path, roots=roots, dataset_hash=held.dataset_hash, task=held.task)

    @property
    def _roots(self) -> tuple[str, ...]:
        return tuple(str(root) for root in self._settings.dataset_roots)

    def register(
        self,
        caller: Caller,
        done: Future[TaskResult[tasks.DatasetSummary]],
        *,
        path: Path,
        name: str | None,
        upload: Upload | None,
        task: Task | None = None,
    ) -> tuple[RegisteredDataset, bool]:
        """Store a data set that was read, for `task` where one was named; returns it and True when it is new.

        Raises InputError.
        """
        try:
            summary = task_result(done)
            wanted = RegisteredDataset(
                id=f"ds_{secrets.token_hex(8)}",
                owner=caller.owner,
                name=name or summary.name,
                dataset_hash=summary.dataset_hash,
                origin="path" if upload is None else "upload",
                path=str(path),
                format=summary.format,
                class_names=summary.class_names,
                num_images=summary.num_images,
                num_objects=summary.num_objects,
                created_at=utc_now(),
                unpacked=None if upload is None else summary.unpacked,
                num_bytes=0 if upload is None else summary.num_bytes,
                task=summary.task,
                task_named=task is not None,
            )
            held = self._store.datasets.add(wanted)
        except BaseException:
            if upload is not None:
                self.discard(upload)
            raise
        new = held.id == wanted.id
        if upload is not None and new:
            with contextlib.suppress(OSError):  # the disk is full: housekeeping tries again
                (upload.folder / REGISTERED).touch()
        elif upload is not None:
            self.discard(upload)
        self.start_inspection(held)
        return held, new

    def start_inspection(self, held: RegisteredDataset) -> None:
        """Inspect a data set in a worker process, once, in the background."""
        with self._lock:
            if held.health is not None or held.id in self._inspecting:
                return
            self._inspecting.add(held.id)
        future = self._pools.submit_inspection(
            held.owner,
            INSPECTION_TIMEOUT_S,
            tasks.inspect_uploaded_dataset,
            self.source_of(held),
            SEED,
            str(thumbnail_folder(held.dataset_hash)),
        )
        future.add_done_callback(lambda done: self._finish_inspection(held, done))

    def delete(self, held: RegisteredDataset) -> None:
        """Delete a data set: an upload's archive and contents, and the thumbnails when nobody else holds the content.

        The files go first: where the disk is full, the store can write only then.
        """
        self._remove_thumbnails(held)
        if held.origin == "upload":
            folder = Path(held.unpacked or "")
            if folder.parent == subfolder("unpacked"):
                self._remove_unpacked(folder, besides=held.id)
            folder = Path(held.path).parent
            if folder.parent == uploads_folder():
                with contextlib.suppress(OSError):  # what cannot be deleted now is a leftover from here on
                    (folder / REGISTERED).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
        self._store.datasets.remove(held.id)
        self._remove_thumbnails(held)  # again: an inspection under way may have drawn them meanwhile

    def _remove_thumbnails(self, held: RegisteredDataset) -> None:
        if all(other.id == held.id for other in self._store.datasets.of_hashes([held.dataset_hash])):
            shutil.rmtree(thumbnail_folder(held.dataset_hash), ignore_errors=True)

    def discard(self, upload: Upload) -> None:
        """Delete an upload that was refused, or is held already, with whatever was unpacked of it."""
        if upload.file is not None and upload.file.is_file() and is_archive(upload.file):
            self._remove_unpacked(unpacked_folder(upload.file))
        shutil.rmtree(upload.folder, ignore_errors=True)

    def _remove_unpacked(self, folder: Path, *, besides: str = "") -> None:
        """Delete the contents of an archive unless a data set lies there; one read for another task does too."""
        name = folder.name if folder.name.isascii() else folder.name.partition("-")[0]
        if not self._store.datasets.any_mentions(name, besides=besides):
            shutil.rmtree(folder, ignore_errors=True)

    def _finish_inspection(self, held: RegisteredDataset, done: Future[TaskResult[str]]) -> None:
        try:
            health = self._health_of(held.id, done)
            if health is not None:
                self._store.datasets.set_health(held.id, health)
            if self._store.datasets.get(held.id) is None:  # deleted while its pictures were drawn
                self._remove_thumbnails(held)
        except RecommenderError as error:
            logger().warning("health not kept", dataset=held.id, message=str(error))
        finally:
            self._inspecting.discard(held.id)

    def _health_of(self, id: str, done: Future[TaskResult[str]]) -> str | None:
        """The part of an inspection that is kept; None where the next to look at the data set is to try again."""
        if done.cancelled():
            return None
        try:
            return task_result(done)
        except UnavailableError as error:
            self._died[id] += 1
            if self._died[id] < MAX_INSPECTIONS:
                logger().warning("an inspection died", dataset=id, message=str(error))
                return None
            return json.dumps({"error": without_server_paths(str(error))})
        except RecommenderError as error:
            return json.dumps({"error": without_server_paths(str(error))})
        except Exception as error:
            logger().error("no health", dataset=id, failed_in=where(error), message=str(error))
            return json.dumps({"error": "Something failed inside the service."})


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none any more."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
