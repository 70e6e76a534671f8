"""Files in pieces that a message to an actor can carry, whatever transports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CHUNK_BYTES = 8 * 2**20


def chunks_of(file: Path) -> Iterator[bytes]:
    """The file's chunks, the first first; none of an empty file. Raises FileNotFoundError where there is none."""
    with file.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            yield chunk


def chunk_at(file: Path, offset: int) -> bytes:
    """The chunk that begins at this byte; nothing from the end on. Raises FileNotFoundError where there is none."""
    with file.open("rb") as content:
        content.seek(offset)
        return content.read(CHUNK_BYTES)


def put_chunk(file: Path, offset: int, chunk: bytes) -> None:
    """Write a chunk at this byte: sent again, it takes its own place. The first, at 0, begins the file anew."""
    with file.open("r+b" if offset else "wb") as content:
        content.seek(offset)
        content.write(chunk)
