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
    refuse_large(content, named, disk)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{named} is not valid JSON: {printable(error)}.", remedy="Export it again."
        ) from error


def refuse_large(content: str, named: str, disk: Disk) -> None:
    """Raise UnsafeInputError for a text whose parsed values would take too much memory."""
    memory = _memory_of(content)
    if memory > disk.limits.json_memory_bytes:
        raise UnsafeInputError(
            f"{named} would take about {memory >> 20} MB in memory, at most "
            f"{disk.limits.json_memory_bytes >> 20} MB are allowed.",
            remedy="Split the data set.",
        )


def _memory_of(content: str) -> int:
    """About the bytes that the parsed values take: each stands before a comma or a closing bracket.

    Texts between quotes may hold such characters too, so this is an upper estimate.
    """
    per_mark = {",": 40, "[": 72, "{": 240, '"': 30}  # CPython: a number, a list, a dict, half a text
    return sum(content.count(mark) * size for mark, size in per_mark.items())
