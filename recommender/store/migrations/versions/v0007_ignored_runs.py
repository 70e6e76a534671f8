"""Runs that are kept but teach the forecast nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade from 0006."""
    op.create_table("ignored_runs", sa.Column("run_id", sa.String(128), primary_key=True))
