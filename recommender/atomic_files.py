"""Files and folders of ours that appear in one step: a reader sees the old content or the new, never half of one."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from recommender.errors import StorageError


@contextmanager
def replacing(file: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path beside `file` to write to, which takes its place at the end; after an error it is removed.

    `durable` flushes content and rename to the disk, so that they survive a power cut. Raises OSError as writing does.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield part
        if durable:
            _flush(part)
        part.replace(file)
        if durable and os.name == "posix":  # elsewhere folders cannot be opened
            _flush(file.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def filling(folder: Path, *, prefix: str, is_whole: Callable[[], bool]) -> Iterator[Path]:
    """A new folder beside `folder` to fill, which takes its place at the end; after an error it is removed.

    Where another process was faster, `is_whole` tells whether `folder` is as good. Raises OSError as writing does.
    """
    part = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield part
        try:
            part.rename(folder)
        except OSError:
            if not is_whole():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_json(file: Path, content: Mapping[str, object]) -> None:
    """Replace `file` by this JSON.

    Raises:
        StorageError: it cannot be written; the old content is intact.
    """
    try:
        with replacing(file) as part:
            part.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{file} cannot be written: {error.strerror or error}.",
            remedy="Free some space there, or point RECOMMENDER_HOME elsewhere.",
        ) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
