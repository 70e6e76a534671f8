"""The remaining limits of an archive, counted while it is unpacked."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import IO

from recommender.datasets.limits import DatasetLimits
from recommender.errors import StorageError, UnsafeInputError
from recommender.text import printable

COPY_BYTES = 1024 * 1024


class Budget:
    """Bytes and entries an archive may still unpack to, beside the room on the disk of `place`."""

    def __init__(self, path: Path, place: Path, limits: DatasetLimits) -> None:
        packed = path.stat().st_size
        by_ratio = max(limits.archive_ratio * packed, limits.archive_ratio_from_bytes)
        free = shutil.disk_usage(place).free
        self.name = printable(path.name)
        self.limits = limits
        self.most_bytes = int(min(by_ratio, limits.archive_bytes))
        self.free_bytes = int(free * 0.95)
        self.bytes = 0
        self.entries = 0

    def entry(self) -> None:
        """Count one entry. Raises UnsafeInputError above the limit."""
        self.entries += 1
        if self.entries > self.limits.archive_entries:
            raise UnsafeInputError(
                f"{self.name} holds more than {self.limits.archive_entries} entries.",
                remedy="Unpack it yourself and give the folder.",
            )

    def spend(self, count: int) -> None:
        """Count unpacked bytes. Raises UnsafeInputError for a bomb, StorageError for a full disk."""
        self.bytes += count
        if self.bytes > self.most_bytes:
            raise UnsafeInputError(
                f"{self.name} unpacks to more than {self.most_bytes} bytes, out of proportion to its size.",
                remedy="If it is honest, unpack it yourself and give the folder.",
            )
        if self.bytes > self.free_bytes:
            raise StorageError(
                f"{self.name} does not fit on the disk.", remedy="Set RECOMMENDER_HOME to a larger disk."
            )


class Metered(io.RawIOBase):
    """A decompressing stream that counts against the budget and refuses giant single reads."""

    def __init__(self, source: IO[bytes], budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._furthest = 0

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._budget.limits.archive_header_bytes:
            raise UnsafeInputError(
                f"{self._budget.name} asks for {size} bytes at once.", remedy="Pack it again."
            )
        data = self._source.read(size)
        self._note()
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset > self._budget.most_bytes * 2 + COPY_BYTES:
            self._budget.spend(offset)  # skipping decompresses as well
        position = self._source.seek(offset, whence)
        self._note()
        return position

    def tell(self) -> int:
        return self._source.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def _note(self) -> None:
        # Headers and padding come on top of the files, so the stream may be longer than they are.
        position = self._source.tell()
        if position > self._furthest:
            self._furthest = position
            overhead = 4096 * self._budget.limits.archive_entries
            if position > self._budget.most_bytes * 2 + min(overhead, 64 * COPY_BYTES):
                self._budget.spend(self._budget.most_bytes + 1)
