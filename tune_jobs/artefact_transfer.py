"""Data sets and weights to any node by content hash; no disk is shared, nothing half arrives.

A data set is packed once into one archive, its artefact. Each node unpacks it once, under a file lock, into its own
cache; the manifest is written last, so its presence means complete. Plain Python: how the bytes travel is the
caller's business (`tune_jobs.artefact_store` sends them through Ray).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock

from recommender.atomic_files import write_json
from recommender.errors import IntegrityError, StorageError
from recommender.home import subfolder
from recommender.records import Dataset, Split
from recommender.text import printable
from tune_jobs.chunks import chunks_of

FORMAT = 1  # of archives; another number is another artefact
SPLITS_SHIPPED: tuple[Split, ...] = ("train", "val")
MANIFEST = "manifest.json"

Chunks = Callable[["Artefact"], Iterable[bytes]]
_verified: set[tuple[str, str]] = (
    set()
)  # (place, sha256): hashed by this process, not again before every trial


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """One data set or one weights file, ready to travel."""

    kind: Literal["dataset", "weights"]
    key: str  # the data set's content hash, or the weights' sha256
    sha256: str  # of the file that travels
    num_bytes: int
    source: Path  # that file, on the machine that packed it


def pack_dataset(dataset: Dataset) -> Artefact:
    """Pack a data set into one archive, once per content hash; safe for several processes at a time.

    The images are put in an order that their content decides, so that equal content trains equally wherever
    its files lay. Raises DatasetError when an image changed since the data set was opened, whatever its mtime
    says, and StorageError when the disk refuses.
    """
    from recommender.datasets import export_yolo, write_data_yaml

    archive = _archive_of(dataset.content_hash)
    with _writing(archive):
        packed = _read_card(archive)
        if packed is not None:
            return packed
        ordered = replace(
            dataset, images=tuple(sorted(dataset.images, key=lambda i: (i.split, i.sha256, i.name)))
        )
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".packing-") as name:
            aside = Path(name) / "data"
            export_yolo(ordered, aside, splits=SPLITS_SHIPPED)
            # The machine's paths must not travel: equal content gives equal bytes everywhere.
            write_data_yaml(aside, dataset.class_names, SPLITS_SHIPPED, at=Path("/data"))
            part = Path(name) / "part.tar"
            sha256 = _write_archive(aside, part)
            artefact = Artefact(
                kind="dataset",
                key=dataset.content_hash,
                sha256=sha256,
                num_bytes=part.stat().st_size,
                source=archive,
            )
            part.replace(archive)
        _write_card(artefact)
        return artefact


def packed_dataset(content_hash: str) -> Artefact | None:
    """The data set of this content hash as `pack_dataset` left it on this machine; None where it has not."""
    return _read_card(_archive_of(content_hash))


def pack_weights(path: Path, *, sha256: str | None = None) -> Artefact:
    """A weights file as a artefact. Raises IntegrityError when its bytes are not those recorded."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable("weights", path, error) from error
    if sha256 is not None and found != sha256:
        raise IntegrityError(
            f"The weights {printable(path)} have sha256 {found[:12]}…, recorded is {sha256[:12]}…",
            remedy="Add the checkpoint again, or restore the file.",
        )
    return Artefact(kind="weights", key=found, sha256=found, num_bytes=path.stat().st_size, source=path)


def read_chunks(artefact: Artefact) -> Iterator[bytes]:
    """The artefact's bytes, on the machine that packed it. Raises IntegrityError when they cannot be read."""
    try:
        yield from chunks_of(artefact.source)
    except OSError as error:
        raise unreadable(artefact.kind, artefact.source, error) from error


def deliver(artefact: Artefact, chunks: Chunks = read_chunks) -> Path:
    """The artefact unpacked in this node's cache: a data set's folder, or a weights file.

    The first on a node receives it, under a file lock, and the others wait for it. What lies there is hashed
    on each process's first use, and fetched again when a byte differs. Raises IntegrityError when what arrives
    is not what was packed and StorageError when the disk refuses.
    """
    place = place_of(artefact)
    with _writing(place):
        if not _is_whole(artefact, place):
            with _folder_beside(place) as aside:
                _receive(artefact, chunks, aside, place)
            _verified.discard((str(place), artefact.sha256))
            if not _is_whole(artefact, place):
                raise StorageError(
                    f"{printable(place)} changes while it is written.", remedy="Check that disk."
                )
    return place / "data" if artefact.kind == "dataset" else place / f"{artefact.key}.safetensors"


def place_of(artefact: Artefact) -> Path:
    """The folder of this node's cache that holds, or will hold, the artefact."""
    return subfolder("node_cache") / f"{artefact.kind}-{artefact.key}.{FORMAT}"


def unreadable(kind: Literal["dataset", "weights"], path: Path, error: OSError) -> IntegrityError:
    """The error for an artefact that is missing where it was packed; no disk's refusal, wherever it is wanted."""
    what = "The weights" if kind == "weights" else "The packed data set"
    return IntegrityError(
        f"{what} {printable(path)} cannot be read: {error.strerror}.",
        remedy="Fetch or add them again." if kind == "weights" else "The same command packs it again.",
    )


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Alone among the processes of this node, with the disk's refusals made plain."""
    try:
        with FileLock(target.with_name(target.name + ".lock")):
            yield
    except OSError as error:
        raise StorageError(
            f"{printable(target)} could not be written: {error.strerror or error}.",
            remedy="Free some space there, or point RECOMMENDER_HOME at another disk.",
        ) from error


@contextmanager
def _folder_beside(place: Path) -> Iterator[Path]:
    """An empty folder for what arrives, removed at the end; one that a killed process left is removed first.

    Its name comes from the place, whose lock the caller holds, so it is nobody else's.
    """
    folder = place.with_name(f".arriving-{place.name}")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_archive(folder: Path, target: Path) -> str:
    """Write every file below `folder` into one tar, byte for byte the same for the same content."""
    with target.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(folder.rglob("*")):
                if not path.is_file() or path.name == MANIFEST:
                    continue
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size = path.stat().st_size
                with path.open("rb") as content:
                    archive.addfile(entry, content)
        file.flush()
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _archive_of(content_hash: str) -> Path:
    return subfolder("shipments") / f"{content_hash}.{FORMAT}.tar"


def _card_of(archive: Path) -> Path:
    return archive.with_suffix(".json")


def _write_card(artefact: Artefact) -> None:
    write_json(_card_of(artefact.source), asdict(artefact) | {"source": artefact.source.name})


def _read_card(archive: Path) -> Artefact | None:
    """The archive's artefact, when archive and card are there and belong together."""
    try:
        artefact = Artefact(**json.loads(_card_of(archive).read_text("utf-8")) | {"source": archive})
        return artefact if archive.stat().st_size == artefact.num_bytes else None
    except (OSError, ValueError, TypeError):
        return None


def _receive(artefact: Artefact, chunks: Chunks, aside: Path, place: Path) -> None:
    """Fetch, check, unpack beside the place, and move there at once."""
    arrived, digest = aside / "arrived", hashlib.sha256()
    with arrived.open("wb") as file:
        for chunk in chunks(artefact):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != artefact.sha256:
        raise IntegrityError(
            f"What arrived of {artefact.kind} {artefact.key[:12]}… has sha256 {digest.hexdigest()[:12]}…, "
            f"packed was {artefact.sha256[:12]}…",
            remedy=f"Delete {artefact.source.name} below RECOMMENDER_HOME of the sending machine and try again.",
        )
    ready = aside / "ready"
    _unpack(artefact, arrived, ready, place)
    files = {path.relative_to(ready).as_posix(): _fingerprint(path) for path in _files_of(ready)}
    manifest = {"sha256": artefact.sha256, "files": files}
    (ready / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    if place.exists():  # damaged: move it out of the way, a training that reads it keeps its open files
        place.rename(aside / "damaged")
    ready.rename(place)


def _unpack(artefact: Artefact, arrived: Path, ready: Path, place: Path) -> None:
    ready.mkdir()
    if artefact.kind == "weights":
        arrived.rename(ready / f"{artefact.key}.safetensors")
        return
    import yaml

    from recommender.datasets import write_data_yaml

    with tarfile.open(arrived) as archive:
        archive.extractall(ready / "data", filter="data")
    names = yaml.safe_load((ready / "data" / "data.yaml").read_text("utf-8"))["names"]
    write_data_yaml(ready / "data", tuple(names.values()), SPLITS_SHIPPED, at=place / "data")


def _files_of(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST)


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_whole(artefact: Artefact, place: Path) -> bool:
    """True if every byte is there and as it was packed."""
    if (str(place), artefact.sha256) in _verified and (place / MANIFEST).exists():
        return True
    try:
        manifest = json.loads((place / MANIFEST).read_text("utf-8"))
        if manifest["sha256"] != artefact.sha256:
            return False
        whole = manifest["files"] == {
            p.relative_to(place).as_posix(): _fingerprint(p) for p in _files_of(place)
        }
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if whole:
        _verified.add((str(place), artefact.sha256))
    return bool(whole)
