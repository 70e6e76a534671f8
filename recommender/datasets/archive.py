"""Zip and tar archives, unpacked below our own home, once for each content.

Nothing is believed of an archive before it is checked: names, kinds, counts and sizes first, and the
bytes again while they are written. Links, devices and names that lead out refuse the whole archive.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import IO, Any
from unicodedata import category

from recommender.atomic_files import filling
from recommender.datasets.archive_names import in_encoding, names_encoding
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.limits import DatasetLimits
from recommender.datasets.unpacking import COPY_BYTES, Budget, Metered
from recommender.errors import DatasetError, StorageError, UnsafeInputError
from recommender.home import subfolder
from recommender.text import printable

MARKER = ".unpacked"  # written last
UNPACKING = "2"  # of what unpacking makes of an archive; another one than before is unpacked anew
MAX_STEM_BYTES = 160  # with the digest before it well below the 255 of file systems
JUNK = ("__MACOSX",)
END_OF_DIRECTORY = b"PK\x05\x06"
ZIP64_RECORD = b"PK\x06\x06"
DIRECTORY_ENTRY = b"PK\x01\x02"
OTHER_ARCHIVES = {
    b"Rar!\x1a\x07": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x04\x22\x4d\x18": "an LZ4 archive",
    b"MSCF": "a CAB archive",
}
DISK_FAULTS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG, errno.EMFILE}
)
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression zipfile does not know
    UnicodeError,
    ValueError,
    OverflowError,
    struct.error,
)


def is_archive(path: Path) -> bool:
    """True if the file's content is a zip or a tar, plain or compressed."""
    with path.open("rb") as file:
        start = file.read(512)
    return (
        start[:4] in (b"PK\x03\x04", b"PK\x05\x06")
        or _opener(start) is not None
        or start[257:262] == b"ustar"
    )


def is_zip_without_images(path: Path, limits: DatasetLimits) -> bool:
    """True of a zip whose entries are no images by their names; False of a damaged one.

    Raises UnsafeInputError for too many entries.
    """
    try:
        if not zipfile.is_zipfile(path):
            return False
        _check_zip_directory(path, Budget(path, path.parent, limits))
        with zipfile.ZipFile(path) as archive:
            return not any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in archive.namelist())
    except DAMAGED:
        return False


def packed_kind(start: bytes) -> str | None:
    """The name of an archive format that is not opened here, by its first bytes; None for anything else."""
    return next((name for mark, name in OTHER_ARCHIVES.items() if start.startswith(mark)), None)


def unpacked(path: Path, *, limits: DatasetLimits) -> Path:
    """Unpack below `RECOMMENDER_HOME` and return the folder; the same bytes are unpacked once.

    Raises UnsafeInputError for links, devices, names that lead out, bombs and too many entries,
    DatasetError for damaged or encrypted archives, StorageError when the disk is full.
    """
    target = unpacked_folder(path) / _safe_stem(path)
    if (target.parent / MARKER).exists() and target.is_dir():
        return target
    try:
        whole = (target.parent / MARKER).exists
        with filling(target.parent, prefix=".unpacking-", is_whole=whole) as part:
            (part / target.name).mkdir()
            _unpack(path, part / target.name, limits)
            (part / MARKER).touch()
    except DAMAGED as error:
        raise DatasetError(
            f"{printable(path.name)} is damaged: {printable(error)}.", remedy="Pack it again."
        ) from error
    except OSError as error:
        if error.errno not in DISK_FAULTS:  # an offset before the start, and what decompressors raise
            raise DatasetError(f"{printable(path.name)} is damaged.", remedy="Pack it again.") from error
        raise StorageError(
            f"{printable(path.name)} cannot be unpacked: {error.strerror or error}.",
            remedy="Free some space, or set RECOMMENDER_HOME to a larger disk.",
        ) from error
    return target


def unpacked_folder(path: Path) -> Path:
    """The folder of the unpacked contents of these bytes; it may be deleted when no longer needed."""
    return subfolder("unpacked") / f"{_digest(path)}-{UNPACKING}-{_safe_stem(path)}"


def remove_unpacked(folder: Path) -> None:
    """Delete what `unpacked` made of an archive: one that is refused must leave nothing on the disk."""
    if (folder.parent / MARKER).exists():
        shutil.rmtree(folder.parent, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()[:32]


def _safe_stem(path: Path) -> str:
    stem = path.name.split(".")[0]
    kept = "".join(c if category(c)[0] in "LMN" or c in "-_ " else "_" for c in stem)
    return kept.encode()[:MAX_STEM_BYTES].decode(errors="ignore").strip() or "dataset"


def _unpack(path: Path, folder: Path, limits: DatasetLimits) -> None:
    budget = Budget(path, folder, limits)
    with path.open("rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"PK\x05\x06"):
        _unpack_zip(path, folder, budget)
    else:
        _unpack_tar(path, folder, budget)


def _unpack_zip(path: Path, folder: Path, budget: Budget) -> None:
    _check_zip_directory(path, budget)
    with zipfile.ZipFile(path) as archive:
        encoding = names_encoding(archive)
        infos = archive.infolist()
        for info in infos:
            budget.entry()
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(budget, info.filename, "is a link or a device")
            if info.flag_bits & 0x1:
                raise DatasetError(f"{budget.name} is encrypted.", remedy="Pack it without a password.")
        if sum(info.file_size for info in infos) > budget.most_bytes:
            budget.spend(budget.most_bytes + 1)
        for info in infos:
            place = _place(in_encoding(info.filename, encoding), budget)
            if info.is_dir() or place is None:
                continue
            with archive.open(info) as source:
                _copy(source, folder / place, budget)


def _check_zip_directory(path: Path, budget: Budget) -> None:
    """Count the entries before zipfile builds an object for each; the numbers a zip states may be lies."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 66_000))
        start = file.tell()
        tail = file.read()
        end = tail.rfind(END_OF_DIRECTORY)
        if end < 0 or end + 22 > len(tail):
            raise zipfile.BadZipFile("it has no directory")
        length = int.from_bytes(tail[end + 12 : end + 16], "little")
        record = tail.rfind(ZIP64_RECORD, 0, end)
        if record >= 0:  # zip64 keeps the length elsewhere
            length, end = int.from_bytes(tail[record + 40 : record + 48], "little"), record
        entries = budget.limits.archive_entries + 1
        if length <= min(budget.limits.archive_header_bytes, start + end):
            file.seek(start + end - length)
            entries = file.read(length).count(DIRECTORY_ENTRY)
    if entries > budget.limits.archive_entries:
        raise UnsafeInputError(
            f"{budget.name} holds too many entries, at most {budget.limits.archive_entries} are unpacked.",
            remedy="Unpack it yourself and give the folder.",
        )


def _unpack_tar(path: Path, folder: Path, budget: Budget) -> None:
    with _decompressed(path, budget) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined] # or a million entries stay in memory
            budget.entry()
            if not (member.isreg() or member.isdir()):
                raise _refused(budget, member.name, "is a link or a device")
            place = _place(member.name, budget)
            source = archive.extractfile(member) if member.isreg() and place is not None else None
            if source is not None and place is not None:
                _copy(source, folder / place, budget)


@contextmanager
def _decompressed(path: Path, budget: Budget) -> Iterator[Any]:
    with path.open("rb") as file:
        opener = _opener(file.read(6))
    source: Any = opener(path) if opener is not None else path.open("rb")
    with source:
        yield Metered(source, budget)


def _opener(start: bytes) -> Any:
    if start[:2] == b"\x1f\x8b":
        return gzip.open
    if start[:3] == b"BZh":
        return bz2.open
    if start[:6] == b"\xfd7zXZ\x00":
        return lzma.open
    return None


def _place(name: str, budget: Budget) -> PurePosixPath | None:
    """The path of an entry, relative to the folder; None for what macOS adds."""
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if plain.startswith("/") or ".." in parts or "\0" in plain or (parts and parts[0].endswith(":")):
        raise _refused(budget, name, "leads out of the archive")
    if any(len(os.fsencode(part)) > 255 for part in parts) or len(parts) > budget.limits.folder_depth:
        raise _refused(budget, name, "is too long or too deep")
    if not parts or parts[0] in JUNK or parts[-1].startswith("._"):
        return None
    return PurePosixPath(*parts)


def _refused(budget: Budget, name: str, why: str) -> UnsafeInputError:
    return UnsafeInputError(
        f"{budget.name}: the entry '{printable(name, limit=80)}' {why}.",
        remedy="Pack plain files and folders only.",
    )


def _copy(source: IO[bytes], target: Path, budget: Budget) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sink = target.open("xb")
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise _refused(budget, target.name, "comes twice") from error
    with sink:
        while chunk := source.read(COPY_BYTES):
            budget.spend(len(chunk))
            sink.write(chunk)
