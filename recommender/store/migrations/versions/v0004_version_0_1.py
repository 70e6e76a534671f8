"""The tables of version 0.1, from which older stores come up to date. A new store is made by the models alone."""

from __future__ import annotations

revision = "0004"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do nothing: no older version is known."""
