"""Boxes in a cell as objects of JSON, such as `[{"x": 1, "y": 2, "width": 3, "height": 4}]`: a row is made of each."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from recommender.datasets.tables.box_columns import NOTHING, ONE_CELL, box_headings
from recommender.datasets.tables.rows import Table
from recommender.datasets.tables.text import cell_of

OBJECT = re.compile(r"\[?\s*\{")


def unfolded(table: Table) -> Table:
    """The table with a row for each object where a column holds objects with boxes; else as it is.

    Their keys head the new columns. A row whose list is empty stays, with empty cells there.
    """
    for column, cells in enumerate(table.columns):
        if not any(map(OBJECT.match, cells)):
            continue
        lists = [_objects(cell) for cell in cells]
        keys = list(dict.fromkeys(key for objects in lists for one in objects or () for key in one))
        if None in lists or box_headings(keys) is None:
            continue
        rest = [c for c in range(len(table.header)) if c != column]
        titles = [
            key if ONE_CELL.fullmatch(key) else f"box_{key}" for key in keys
        ]  # `width` may be the image's
        body = [
            [*(row[c] for c in rest), *(cell_of(one.get(key)) for key in keys)]
            for row, objects in zip(table.body, lists, strict=True)
            for one in objects or [{}]
        ]
        return replace(table, header=[*(table.header[c] for c in rest), *titles], body=body)
    return table


def _objects(cell: str) -> list[dict[str, Any]] | None:
    """The objects in a cell; None of a cell that holds anything else."""
    if cell.lower() in NOTHING:
        return []
    for text in (cell, cell.replace("'", '"')):  # as Python prints them
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            continue
        objects = found if isinstance(found, list) else [found]
        return objects if all(isinstance(one, dict) for one in objects) else None
    return None
