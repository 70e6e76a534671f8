"""One score for every task, one table of jobs, ignored runs, and columns that find checkpoints and runs.

`map50_95` of runs, checkpoints, jobs, events and answers becomes `score`. Recommendations move to the trainings and
sweeps, their events to the events of jobs. The number that tells attempts apart is called attempt, no longer epoch.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0004"
branch_labels = None
depends_on = None

# table: (its key, the column that holds JSON, whether a digest guards it)
_TABLES: dict[str, tuple[tuple[str, ...], str, bool]] = {
    "runs": (("id",), "record", True),
    "checkpoints": (("name",), "record", True),
    "jobs": (("id",), "metrics", False),
    "job_events": (("job_id", "seq"), "data", False),
    "events": (("topic", "seq"), "data", False),
    "asks": (("id",), "document", False),
}
_RENAMED = {
    "map50_95": "score",
    "starting_map50_95": "starting_score",
    "source_map50_95": "source_score",
}
_DETAILS = ("map50", "map75", "precision", "recall")
_MOVE_RECOMMENDATIONS = """
    INSERT INTO jobs (
        id, kind, owner, key, body_digest, cluster, status, spec, attempt, cancel_requested, crashes, collected,
        last_seq, error, lease_holder, lease_beat, created_at, ended_at, dataset_id, dataset_hash, result
    )
    SELECT
        id, 'recommendation', owner, 'recommendation/' || id, cache_key, '', status, question, num_leases, false, 0, 0,
        COALESCE((SELECT MAX(seq) FROM events WHERE topic = 'recommendation/' || asks.id), 0),
        problem, lease_holder, lease_beat, created_at, finished_at, dataset_id, dataset_hash, document
    FROM asks
"""
_MOVE_EVENTS = """
    INSERT INTO job_events (job_id, seq, attempt, kind, data, at)
    SELECT jobs.id, events.seq, jobs.attempt, events.kind, events.data, events.created_at
    FROM events JOIN jobs ON events.topic = 'recommendation/' || jobs.id AND jobs.kind = 'recommendation'
"""


def upgrade() -> None:
    """Upgrade from 0004. What cannot be parsed stays as it is: reading it says so, as before."""
    _rename_scores()
    for table in ("jobs", "outbox", "job_events", "claims"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN epoch TO attempt")
    op.add_column("jobs", sa.Column("dataset_id", sa.String(32)))
    op.add_column("jobs", sa.Column("dataset_hash", sa.String(128)))
    op.add_column("jobs", sa.Column("result", sa.Text))
    op.execute(_MOVE_RECOMMENDATIONS)
    op.execute(_MOVE_EVENTS)
    op.create_index("jobs_by_owner", "jobs", ["owner", "kind", "created_at"])
    op.create_index("jobs_by_body", "jobs", ["body_digest"])
    op.drop_table("asks")
    op.drop_table("events")
    op.create_table("ignored_runs", sa.Column("run_id", sa.String(128), primary_key=True))
    op.add_column("checkpoints", sa.Column("source_hash", sa.String(128)))
    op.add_column("checkpoints", sa.Column("sha256", sa.String(64)))
    op.add_column("checkpoints", sa.Column("source_score", sa.Float))
    op.add_column("checkpoints", sa.Column("kept", sa.Boolean, nullable=False, server_default=sa.true()))
    op.create_index("checkpoints_by_source", "checkpoints", ["source_hash"])
    op.create_index("checkpoints_by_weights", "checkpoints", ["sha256"])
    op.add_column("runs", sa.Column("score", sa.Float))
    _fill(
        "checkpoints",
        "name",
        ("source_hash", "sha256", "source_score", "kept"),
        lambda told: {"kept": True} | told,
    )
    _fill("runs", "id", ("score",), lambda told: told.get("best") or {})


def _rename_scores() -> None:
    connection = op.get_bind()
    for name, (key, column, guarded) in _TABLES.items():
        table = sa.table(name, *map(sa.column, (*key, column, *(["digest"] if guarded else []))))
        for row in connection.execute(sa.select(table)).mappings().all():
            text = _converted(row[column], row.get("digest"))
            if text is not None and text != row[column]:
                values = {column: text} | ({"digest": _digest(text)} if guarded else {})
                here = sa.and_(*(table.c[part] == row[part] for part in key))
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


def _fill(name: str, key: str, columns: tuple[str, ...], told_of: Any) -> None:
    """Fill the new columns from the fields of the same names in each record."""
    connection = op.get_bind()
    table = sa.table(name, *map(sa.column, (key, "record", *columns)))
    for row in connection.execute(sa.select(table.c[key], table.c.record)).all():
        try:
            told = told_of(json.loads(row.record))
            values = {column: told.get(column) for column in columns}
        except (ValueError, AttributeError, TypeError):
            continue
        connection.execute(sa.update(table).where(table.c[key] == row[0]).values(**values))
