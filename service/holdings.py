"""The data sets the service holds: taken in, looked at, given back."""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from concurrent.futures import Future
from pathlib import Path

from recommender.errors import NotFoundError, RecommenderError, UnsafeInputError
from recommender.store import Store
from recommender.store.clock import utc_now
from recommender.store.service_records import HeldDataset
from service import work
from service.auth import Caller
from service.logs import logger, where
from service.pools import Outcome, Pools, result_of
from service.problems import Refusal
from service.settings import MB, ServiceSettings
from service.thumbnails import folder_of
from service.uploads import Upload, uploads_folder

SEED = 0  # of the split, where a data set has none of its own
EXAMINE_TIMEOUT_S = 1800.0


class Holdings:
    """Knows where uploads lie. Safe between threads."""

    def __init__(self, store: Store, pools: Pools, settings: ServiceSettings) -> None:
        self._store = store
        self._pools = pools
        self._settings = settings
        self._examined: set[str] = set()
        self._lock = threading.Lock()

    def room_for(self, caller: Caller) -> None:
        """Raise Refusal when the owner keeps more than the service allows."""
        held = self._store.page_held_datasets(owner=caller.owner, limit=500).items
        total = sum(size_of(Path(dataset.path)) for dataset in held if dataset.origin == "upload")
        if total > self._settings.max_held_mb * MB:
            raise Refusal(
                429,
                "quota",
                f"Your uploads take {total // MB} MB; {self._settings.max_held_mb} MB are allowed.",
                remedy="DELETE /v1/datasets/{id} for those you no longer need.",
            )

    def inside_roots(self, path: str) -> Path:
        """The path on this machine, if it lies below an allowed folder. Raises UnsafeInputError, NotFoundError."""
        refused = UnsafeInputError(
            "This path is not below a folder that the service may read.",
            remedy="Upload the data set, or ask the operator for --allow-root.",
        )
        if "\x00" in path or not Path(path).is_absolute():
            raise refused
        try:
            place = Path(path).resolve()
            inside = any(place.is_relative_to(root) for root in self._settings.dataset_roots)
        except (OSError, RuntimeError, ValueError) as error:
            raise refused from error
        if not inside:  # whether it exists is nobody's business
            raise refused
        if not place.exists():
            raise NotFoundError(f"There is no {place.name!r} in that folder.", remedy="Check the path.")
        return place

    def read(self, path: Path) -> Future[Outcome]:
        """Open a data set in a worker; `taken_in` files what comes of it."""
        return self._pools.read(self._settings.open_timeout_s, work.read_dataset, str(path), SEED)

    def taken_in(
        self, caller: Caller, done: Future[Outcome], *, path: Path, name: str | None, upload: Upload | None
    ) -> tuple[HeldDataset, bool]:
        """File a data set that was read; returns it and whether it is new. Raises InputError."""
        try:
            reading: work.Reading = result_of(done)
            asked = HeldDataset(
                id=f"ds_{secrets.token_hex(8)}",
                owner=caller.owner,
                name=name or reading.name,
                dataset_hash=reading.dataset_hash,
                origin="path" if upload is None else "upload",
                path=str(path),
                format=reading.format,
                class_names=reading.class_names,
                num_images=reading.num_images,
                num_objects=reading.num_objects,
                created_at=utc_now(),
            )
            held = self._store.hold_dataset(asked)
        except BaseException:
            if upload is not None:
                shutil.rmtree(upload.folder, ignore_errors=True)
            raise
        new = held.id == asked.id
        if not new and upload is not None:
            shutil.rmtree(upload.folder, ignore_errors=True)
        self.examine(held)
        return held, new

    def examine(self, held: HeldDataset) -> None:
        """Have a worker look at the health of a data set, once, in the background."""
        with self._lock:
            if held.health is not None or held.id in self._examined:
                return
            self._examined.add(held.id)
        folder = str(folder_of(held.dataset_hash))
        future = self._pools.examine(EXAMINE_TIMEOUT_S, work.examine_dataset, held.path, SEED, folder)
        future.add_done_callback(lambda done: self._examination(held.id, done))

    def release(self, held: HeldDataset) -> None:
        """Forget a data set; an upload's files go too, and its pictures when nobody else holds the content."""
        self._store.release_dataset(held.id)
        if held.origin == "upload":
            folder = Path(held.path).parent
            if folder.parent == uploads_folder():
                shutil.rmtree(folder, ignore_errors=True)
        if not self._store.held_of_hashes([held.dataset_hash]):
            shutil.rmtree(folder_of(held.dataset_hash), ignore_errors=True)

    def _examination(self, id: str, done: Future[Outcome]) -> None:
        if done.cancelled():
            return
        try:
            health = str(result_of(done))
        except RecommenderError as error:
            health = json.dumps({"error": str(error)})
        except Exception as error:
            logger().error("no health", dataset=id, failed_in=where(error), message=str(error))
            health = json.dumps({"error": "Something failed inside the service."})
        try:
            self._store.set_health(id, health)
        except RecommenderError as error:  # the next to look at the data set tries again
            logger().warning("health not kept", dataset=id, message=str(error))
            self._examined.discard(id)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none any more."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
