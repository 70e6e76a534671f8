"""The storage through which a job and its launcher exchange files: any folder or URL that fsspec reaches.

```
<root>/<job>/inputs/…               from the launcher, its card last
<root>/<job>/revoked-<epoch>.json   from the launcher: this attempt may stop
<root>/<job>/attempt-<epoch>/…      from that attempt alone: reports, resume state, results, its outcome last
```
An attempt never writes outside its own folder, so one that was given up and comes back spoils nothing.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, TypeVar

from recommender.atomic_files import replacing
from recommender.errors import StorageError, UsageError
from recommender.leftovers import TEMPORARY
from recommender.store.records_json import decode, encode

RecordT = TypeVar("RecordT")
AnswerT = TypeVar("AnswerT")


class Storage(Protocol):
    """Files by name, shared by a launcher and its jobs. Safe to use from several processes.

    A file is there whole or not at all. Raises StorageError when the place refuses.
    """

    def put(self, name: str, source: Path) -> None:
        """Keep a copy of a local file under a name, replacing what was there."""

    def get(self, name: str, target: Path) -> bool:
        """Copy to a local file; False when there is none of this name."""

    def remove(self, prefix: str) -> None:
        """Delete a file, or all below a folder; nothing there is fine."""


class UrlStorage:
    """A folder, NFS included, or any URL of fsspec: `file://`, `s3://`, `gs://`, …"""

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise StorageError(
                f"The storage {url!r} cannot be used: {error}.",
                remedy="Give a folder or a URL of an installed fsspec file system.",
            ) from error
        self._root = root.rstrip("/")
        self._local = type(self._files).__name__ == "LocalFileSystem"

    def put(self, name: str, source: Path) -> None:
        with self._refusals(name):
            place = self._place(name)
            if not self._local:
                self._files.put_file(str(source), place)  # object stores show whole objects only
                return
            folder = Path(place).parent
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(Path(place)) as part:
                shutil.copyfile(source, part)
                part.chmod(0o644)  # nodes may read it as another user

    def get(self, name: str, target: Path) -> bool:
        with self._refusals(name):
            try:
                self._files.get_file(self._place(name), str(target))
            except FileNotFoundError:
                return False
            return True

    def open(self, name: str) -> tuple[IO[bytes], int] | None:
        """A file opened for reading and its size in bytes; None when there is none of this name."""
        with self._refusals(name):
            try:
                place = self._place(name)
                num_bytes = int(self._files.size(place))
                return self._files.open(place, "rb"), num_bytes
            except FileNotFoundError:
                return None

    def remove(self, prefix: str) -> None:
        with self._refusals(prefix):
            try:
                self._files.rm(self._place(prefix), recursive=True)
            except FileNotFoundError:
                return

    def missing_folders(self) -> list[Path]:
        """The folders that `put` would make first, the innermost first; none on other file systems."""
        root = Path(self._root)
        return [folder for folder in (root, *root.parents) if self._local and not folder.exists()]

    def _place(self, name: str) -> str:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/"):
            raise StorageError(f"{name!r} is not a name inside the storage.")
        return "/".join((self._root, *parts))

    @contextmanager
    def _refusals(self, name: str) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except Exception as error:  # object stores raise errors of their own, of no common kind
            if self._local and not isinstance(error, OSError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise StorageError(
                f"The storage {self.url} refused {name}: {reason}.",
                remedy="Free some space there, or name a folder or URL that is reachable and writable.",
            ) from error


class RetryingStorage:
    """Another storage, asked again when it refuses: a training of hours must not die of a hiccup."""

    def __init__(self, storage: Storage, delays_s: Sequence[float] = (1.0, 5.0, 20.0)) -> None:
        self._storage = storage
        self._delays_s = delays_s

    def put(self, name: str, source: Path) -> None:
        self._ask(lambda: self._storage.put(name, source))

    def get(self, name: str, target: Path) -> bool:
        return self._ask(lambda: self._storage.get(name, target))

    def remove(self, prefix: str) -> None:
        self._ask(lambda: self._storage.remove(prefix))

    def _ask(self, work: Callable[[], AnswerT]) -> AnswerT:
        for delay_s in self._delays_s:
            try:
                return work()
            except StorageError:
                time.sleep(delay_s)
        return work()


def open_storage(url: str) -> Storage:
    """The storage behind a folder's path, a URL of fsspec, or `actor://NAME` on the cluster's head."""
    from tune_jobs.actor_storage import SCHEME, head_storage

    return head_storage(url) if url.startswith(SCHEME) else UrlStorage(url)


def require_storage(url: str | None) -> None:
    """Raise UsageError unless the folder or URL can be written to, at once: a job would ask it again and again.

    Leaves no folder that was not there.
    """
    try:
        if url is not None:
            storage = UrlStorage(url)
            made = storage.missing_folders()
            require_writable(storage)
            for folder in made:
                with suppress(OSError):  # another writes there already
                    folder.rmdir()
    except StorageError as error:
        raise UsageError(error.message, remedy=error.remedy) from error


def require_writable(storage: Storage) -> None:
    """Leave a file and take it away again: hours of training later is too late. Raises StorageError."""
    name = f"probe-{uuid.uuid4().hex}"
    with tempfile.NamedTemporaryFile(prefix=TEMPORARY) as file:
        storage.put(name, Path(file.name))
    storage.remove(name)


def put_record(storage: Storage, name: str, record: Any) -> None:
    """Keep one record as a document."""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        file = Path(folder) / "record.json"
        file.write_text(encode(record), encoding="ascii")
        storage.put(name, file)


def get_record(storage: Storage, name: str, kind: type[RecordT]) -> RecordT | None:
    """Read a record; None when there is none. Raises StorageError for a document that does not fit."""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        file = Path(folder) / "record.json"
        if not storage.get(name, file):
            return None
        return decode(kind, file.read_text("ascii", errors="replace"))


def inputs(job: str, name: str) -> str:
    """The name of an input of a job."""
    return f"{job}/inputs/{name}"


def attempt(job: str, epoch: int, name: str) -> str:
    """The name of something that one attempt writes."""
    return f"{job}/attempt-{epoch}/{name}"


def report(job: str, epoch: int, batch: int) -> str:
    """The name of an attempt's report number `batch`."""
    return attempt(job, epoch, f"reports/{batch:06d}.json")


def revoked(job: str, epoch: int) -> str:
    """The name of the mark that tells an attempt that nobody wants it any more."""
    return f"{job}/revoked-{epoch}.json"
