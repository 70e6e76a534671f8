"""The only way a reader of data sets touches the disk: nothing outside the allowed roots is looked at.

A link, a `..` or an absolute path that leads out is refused before it is known whether its target
exists, so that a refusal tells nothing about the machine.
"""

from __future__ import annotations

import codecs
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.limits import LIMITS, DatasetLimits
from recommender.datasets.opened import open_folder, open_plain
from recommender.datasets.wrong_content import wrong_content
from recommender.errors import DatasetError, UnsafeInputError
from recommender.text import printable

Made = TypeVar("Made")
READ_SUFFIXES = IMAGE_SUFFIXES | {
    ".txt",
    ".names",
    ".labels",
    ".data",
    ".json",
    ".xml",
    ".yaml",
    ".yml",
    ".ndjson",
    ".jsonl",
    ".csv",
    ".tsv",
}
# Never read, but they tell what a folder without readable labels is.
UNREAD_IMAGES = frozenset({".arw", ".cr2", ".dcm", ".dng", ".exr", ".nef", ".nii"})
NAMED_SUFFIXES = UNREAD_IMAGES | {
    ".xlsx",
    ".xls",
    ".odgt",
    ".manifest",
    ".tfrecord",
    ".tfrecords",
    ".record",
    ".mat",
    ".parquet",
    ".arrow",
    ".h5",
    ".hdf5",
    ".mdb",
}
ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"})
CACHE_SUFFIXES = frozenset({".cache", ".npy", ".npz", ".pkl", ".pickle"})
# Of systems, of Synology's previews and of Python.
JUNK_FOLDERS = frozenset(
    {"__macosx", "__pycache__", "system volume information", "$recycle.bin", "lost+found", "@eadir"}
)
EXPORTED = "manifest.json"  # of our own export
OUTSIDE_REMEDY = (
    "Only the data set's own folder is read: give the folder that holds everything, correct the path, "
    "or allow the other folder with --allow-root DIR."
)


def encoding_of(content: bytes) -> str:
    """The encoding that a byte-order mark tells, as Excel's "Unicode text" has one; UTF-8 without any."""
    return "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The entries of one folder, by name, sorted."""

    files: tuple[str, ...]
    folders: tuple[str, ...]


class Disk:
    """Reads folders below `roots`, paths without links, and counts what it reads. One data set, one thread."""

    def __init__(self, roots: tuple[Path, ...], *, limits: DatasetLimits = LIMITS) -> None:
        self.roots = roots  # without links: followed once more they might lead elsewhere by now
        self.limits = limits
        self._prefixes = tuple(os.path.join(root, "") for root in self.roots)  # noqa: PTH118 - with a slash
        self._listings: dict[Path, Listing] = {}
        self._real_folders: dict[Path, Path] = {}
        self._num_files = 0
        self._made: dict[Path, Any] = {}
        self.found_utf_16 = False  # which ultralytics does not read

    def contains(self, path: Path) -> bool:
        """True if `path`, its links followed, lies in an allowed root."""
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(root) for root in self.roots)

    def admit(self, path: Path, named: str) -> Path:
        """Return `path` without links and `..`, or raise UnsafeInputError; `named` is shown to the user."""
        if "\0" in str(path):
            raise UnsafeInputError(f"{printable(named)} holds a NUL character.", remedy="Correct the path.")
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(root) for root in self.roots):
            raise UnsafeInputError(
                f"{printable(named)} leads out of the data set's folder.", remedy=OUTSIDE_REMEDY
            )
        return real

    def name(self, path: Path) -> str:
        """Path relative to its root, with forward slashes, for people and records."""
        text = os.fspath(path)
        for prefix in self._prefixes:
            if text.startswith(prefix):
                return text[len(prefix) :].replace(os.sep, "/")
        return path.name

    def without_links(self, path: Path) -> Path:
        """The path with its links followed. Raises UnsafeInputError when it leads out."""
        folder = self._real_folders.get(path.parent)
        if folder is None:
            folder = self._real_folders[path.parent] = self.admit(path.parent, self.name(path))
        real = folder / path.name
        return self.admit(path, self.name(path)) if real.is_symlink() else real

    def listing(self, folder: Path) -> Listing:
        """Files of kinds that are read, and folders; empty when `folder` is no folder. Cached."""
        known = self._listings.get(folder)
        if known is None:
            known = self._list(folder)
            self._listings[folder] = known
        return known

    def walk(self, folder: Path) -> Iterator[Path]:
        """All files of interest below `folder`, in sorted order."""
        yield from self._walk(folder, 0, set())

    def seen(self) -> Iterator[Path]:
        """All files of interest in the folders listed so far."""
        for folder, listing in sorted(self._listings.items()):
            yield from (folder / name for name in listing.files)

    def images(self, folder: Path) -> Iterator[Path]:
        """All files below `folder` that are named like images, in sorted order."""
        return (path for path in self.walk(folder) if path.suffix.lower() in IMAGE_SUFFIXES)

    def images_in(self, folder: Path) -> list[Path]:
        """The files of one folder that are named like images."""
        return [
            folder / name
            for name in self.listing(folder).files
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - quicker than a Path each
        ]

    def once(self, path: Path, make: Callable[[], Made]) -> Made:
        """The outcome of `make` for a file, which is called the first time: a table of boxes is asked for by many."""
        if path not in self._made:
            self._made[path] = make()
        return cast(Made, self._made[path])

    def read_text(self, path: Path, max_bytes: int) -> str:
        """Read a bounded file of UTF-8, or of UTF-16 with a byte-order mark. Raises DatasetError."""
        content = self.read_bytes(path, max_bytes)
        if found := wrong_content(content[:64]):
            raise DatasetError(f"{printable(self.name(path))} is {found.what}.", remedy=found.remedy)
        try:
            self.found_utf_16 |= encoding_of(content) == "utf-16"
            return content.decode(encoding_of(content))
        except UnicodeDecodeError as error:
            named = printable(self.name(path))
            raise DatasetError(f"{named} is not UTF-8 text.", remedy="Save it as UTF-8.") from error

    def read_bytes(self, path: Path, max_bytes: int) -> bytes:
        """Read a bounded file. Raises DatasetError; UnsafeInputError where it is larger or leads out."""
        with self.open(path, max_bytes) as file:
            return file.read()

    def head(self, path: Path, count: int) -> bytes:
        """The first bytes of a file, a text of UTF-16 as UTF-8; empty when it cannot be read."""
        try:
            with self.open(path) as file:
                found = file.read(count)
            return found.decode("utf-16", "ignore").encode() if encoding_of(found) == "utf-16" else found
        except UnsafeInputError:
            raise
        except DatasetError:
            return b""

    def open(self, path: Path, max_bytes: int | None = None) -> BinaryIO:
        """Open a plain file for reading; what was opened is checked, not the path, which may change meanwhile."""
        named = printable(self.name(path))
        try:
            file, real = open_plain(path)
        except OSError as error:
            raise DatasetError(f"{named} cannot be read: {error.strerror}.") from error
        if not any(real.is_relative_to(root) for root in self.roots):
            file.close()
            raise UnsafeInputError(f"{named} leads out of the data set's folder.", remedy=OUTSIDE_REMEDY)
        size = os.fstat(file.fileno()).st_size
        if max_bytes is not None and size > max_bytes:
            file.close()
            raise UnsafeInputError(
                f"{named} has {size} bytes, at most {max_bytes} are read.", remedy="Is it the right file?"
            )
        return file

    def _walk(self, folder: Path, depth: int, above: set[Path]) -> Iterator[Path]:
        real = Path(os.path.realpath(folder))
        if real in above or (real != folder and folder.is_relative_to(real)):
            return  # a link to a folder above it
        if depth > self.limits.folder_depth:
            raise UnsafeInputError(
                f"{printable(self.name(folder))} lies more than {self.limits.folder_depth} folders deep.",
                remedy="Flatten the data set.",
            )
        listing = self.listing(folder)
        for name in listing.files:
            yield folder / name
        for name in listing.folders:
            yield from self._walk(folder / name, depth + 1, above | {real})

    def _list(self, folder: Path) -> Listing:
        self.admit(folder, self.name(folder))
        files, folders = [], []
        try:
            with open_folder(folder) as (descriptor, real), os.scandir(descriptor) as entries:
                self.admit(real, self.name(folder))  # what was opened: the path may have been swapped since
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower() in JUNK_FOLDERS:
                        continue
                    kind = self._kind(entry, folder)
                    if kind == "folder":
                        folders.append(entry.name)
                    elif kind == "file":
                        files.append(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return Listing(files=(), folders=())
        except OSError as error:
            raise DatasetError(
                f"{printable(self.name(folder))} cannot be read: {error.strerror}.",
                remedy="Make it and what its links lead to readable, or move it out of the data set.",
            ) from error
        if self._is_output(folder, files, folders):
            return Listing(files=(), folders=())
        return Listing(files=tuple(sorted(files)), folders=tuple(sorted(folders)))

    def _is_output(self, folder: Path, files: list[str], folders: list[str]) -> bool:
        """True for what a program wrote into the data set: an export, a comparison, a training of ultralytics.

        Not for the folder that was given, nor where the folders between hold nothing else.
        """
        made = (
            "args.yaml" in files
            or ("report.json" in files and "predictions" in folders)
            or (EXPORTED in files and b'"wanted"' in self.head(folder / EXPORTED, 4096))
        )
        given = self.roots[0]
        if not made or folder in self.roots or not folder.is_relative_to(given):
            return False
        above = [parent for parent in folder.parents if parent.is_relative_to(given)]
        around = [self.listing(parent) for parent in above]
        return any(listing.files or len(listing.folders) > 1 for listing in around)

    def _kind(self, entry: os.DirEntry[str], folder: Path) -> str | None:
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a Path for each of 10⁵ names is slow
        wanted = any(
            suffix in each for each in (READ_SUFFIXES, CACHE_SUFFIXES, ARCHIVE_SUFFIXES, NAMED_SUFFIXES)
        )
        try:
            if entry.is_symlink() and (wanted or entry.is_dir()):
                self.admit(folder / entry.name, self.name(folder / entry.name))
            if entry.is_dir():
                return "folder"
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link in a circle leads nowhere, as one to a missing file does
                return None
            raise
        if not wanted or not entry.is_file():
            return None
        self._num_files += 1
        if self._num_files > self.limits.num_files:
            raise UnsafeInputError(
                f"The folder holds more than {self.limits.num_files} files.",
                remedy="Give the data set's own folder.",
            )
        return "file"
