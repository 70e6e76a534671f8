"""Columns that find checkpoints by source or weights and runs by result, filled from the records."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade from 0007. A record that cannot be parsed is found by its key alone: reading it says why, as before."""
    op.add_column("checkpoints", sa.Column("source_hash", sa.String(128)))
    op.add_column("checkpoints", sa.Column("sha256", sa.String(64)))
    op.add_column("checkpoints", sa.Column("source_score", sa.Float))
    op.add_column("checkpoints", sa.Column("kept", sa.Boolean, nullable=False, server_default=sa.true()))
    op.create_index("checkpoints_by_source", "checkpoints", ["source_hash"])
    op.create_index("checkpoints_by_weights", "checkpoints", ["sha256"])
    op.add_column("runs", sa.Column("score", sa.Float))
    _fill("checkpoints", "name", lambda told: {
        "source_hash": told.get("source_hash"),
        "sha256": told.get("sha256"),
        "source_score": told.get("source_score"),
        "kept": told.get("kept", True),
    })  # fmt: skip
    _fill("runs", "id", lambda told: {"score": (told.get("best") or {}).get("score")})


def _fill(name: str, key: str, values_of: Any) -> None:
    connection = op.get_bind()
    columns = {"checkpoints": ("source_hash", "sha256", "source_score", "kept"), "runs": ("score",)}[name]
    table = sa.table(name, *(sa.column(column) for column in (key, "record", *columns)))
    for row in connection.execute(sa.select(table.c[key], table.c.record)).all():
        try:
            values = values_of(json.loads(row.record))
        except (ValueError, AttributeError):
            continue
        connection.execute(sa.update(table).where(table.c[key] == row[0]).values(**values))
