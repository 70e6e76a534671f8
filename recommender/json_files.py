"""Small JSON files of our own, replaced in one step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from recommender.errors import StorageError


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write beside and rename: a reader sees the old content or the new, never half of one.

    Raises:
        StorageError: it cannot be written; the old content is intact.
    """
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"{file} cannot be written: {error.strerror or error}.",
            remedy="Free some space there, or point RECOMMENDER_HOME elsewhere.",
        ) from error
