"""A cache file that knows its own checksum: written whole or not at all, never believed when damaged."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from recommender.atomic_files import replacing
from recommender.errors import StorageError

MAGIC = b"RECOMMENDER CACHE 1\n"
_DIGEST_BYTES = 32
_LENGTH = struct.Struct("<Q")


def write_checksummed(path: Path, header: dict[str, Any], parts: list[bytes | memoryview]) -> None:
    """Write header and parts beside `path`, flush them to the disk, then put them in its place.

    Raises StorageError when the disk is full or not writable; what was at `path` is still there then.
    """
    text = json.dumps({**header, "part_lengths": [len(part) for part in parts]}).encode()
    pieces = [_LENGTH.pack(len(text)), text, *parts]
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=True) as part, part.open("wb") as file:
            for piece in (MAGIC, digest.digest(), *pieces):
                file.write(piece)
    except OSError as error:
        raise StorageError(
            f"Cannot write the cache {path}: {error.strerror or error}.",
            remedy="Free some disk space or set RECOMMENDER_HOME to a folder that is writable.",
        ) from error


def read_checksummed(path: Path) -> tuple[dict[str, Any], list[memoryview]]:
    """Header and parts, each checked before anything looks into them.

    Raises FileNotFoundError when there is none, StorageError when it is truncated, changed or unreadable.
    """
    try:
        content = memoryview(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"Cannot read the cache {path}: {error.strerror or error}.") from error
    start = len(MAGIC) + _DIGEST_BYTES
    if bytes(content[: len(MAGIC)]) != MAGIC or len(content) < start + _LENGTH.size:
        raise StorageError(f"{path} is no cache of this version, or truncated.")
    if hashlib.sha256(content[start:]).digest() != bytes(content[len(MAGIC) : start]):
        raise StorageError(f"The cache {path} is damaged: its checksum does not match.")
    # From here on the bytes are those that `write_checksummed` wrote.
    (length,) = _LENGTH.unpack(content[start : start + _LENGTH.size])
    offset = start + _LENGTH.size + length
    header = json.loads(bytes(content[start + _LENGTH.size : offset]))
    parts = []
    for part_length in header.pop("part_lengths"):
        parts.append(content[offset : offset + part_length])
        offset += part_length
    return header, parts
