"""JSON of users: bounded in bytes and in what it expands to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recommender.datasets.disk import Disk
from recommender.errors import DatasetError, UnsafeInputError
from recommender.text import printable


def load_json(path: Path, disk: Disk) -> Any:
    """Parse one file. Raises DatasetError for what is no JSON, UnsafeInputError for too much of it."""
    named = printable(disk.name(path))
    return parse_json(disk.read_text(path, disk.limits.json_bytes), named, disk)


def parse_json(content: str, named: str, disk: Disk) -> Any:
    """Parse a text; `named` is shown to the user."""
    # Every value stands before a comma or a closing bracket, so this bounds the objects that are built.
    num_values = content.count(",") + content.count("[") + content.count("{")
    if num_values > disk.limits.json_values:
        raise UnsafeInputError(
            f"{named} holds {num_values} values, at most {disk.limits.json_values} are read.",
            remedy="Split the data set.",
        )
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{named} is not valid JSON: {printable(error)}.", remedy="Export it again."
        ) from error
