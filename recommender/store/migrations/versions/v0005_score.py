"""One score for every task: `map50_95` of runs, checkpoints, jobs, events and answers becomes `score`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# table: (its key, the columns that hold JSON, whether a digest guards them)
_TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    "runs": (("id",), ("record",), True),
    "checkpoints": (("name",), ("record",), True),
    "jobs": (("id",), ("metrics",), False),
    "job_events": (("job_id", "seq"), ("data",), False),
    "events": (("topic", "seq"), ("data",), False),
    "asks": (("id",), ("document",), False),
}
_RENAMED = {
    "map50_95": "score",
    "starting_map50_95": "starting_score",
    "source_map50_95": "source_score",
}
_DETAILS = ("map50", "map75", "precision", "recall")


def upgrade() -> None:
    """Upgrade from 0004. What cannot be parsed stays as it is: reading it says so, as before."""
    connection = op.get_bind()
    for name, (key, columns, guarded) in _TABLES.items():
        names = [*key, *columns, *(["digest"] if guarded else [])]
        table = sa.table(name, *(sa.column(column) for column in names))
        rows = connection.execute(sa.select(table)).mappings().all()
        for row in rows:
            changed = {column: _converted(row[column], row.get("digest")) for column in columns}
            values = {column: text for column, text in changed.items() if text not in (None, row[column])}
            if not values:
                continue
            if guarded:
                values["digest"] = _digest(next(iter(values.values())) or "")
            here = sa.and_(*(table.c[column] == row[column] for column in key))
            connection.execute(sa.update(table).where(here).values(**values))


def modern(value: Any) -> Any:
    """Parsed JSON of version 0.1 with the names of today, whatever it is nested in."""
    if isinstance(value, list):
        return [modern(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {_RENAMED.get(key, key): modern(item) for key, item in value.items()}
    if "map50_95" in value and "precision" in value:  # a point of a learning curve
        found["details"] = {name: value[name] for name in _DETAILS if value.get(name) is not None}
        found = {key: item for key, item in found.items() if key not in _DETAILS}
    if "ranking" in found and isinstance(found.get("dataset"), dict):  # an answer
        found["metric"] = "map50_95"
        found["dataset"] = {**found["dataset"], "task": "detect"}
    return found


def _converted(text: str | None, digest: str | None) -> str | None:
    if text is None or "map50_95" not in text or (digest is not None and digest != _digest(text)):
        return text  # a damaged row must stay recognisable as one
    try:
        return json.dumps(modern(json.loads(text)), sort_keys=True)
    except ValueError:
        return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii", "replace")).hexdigest()
