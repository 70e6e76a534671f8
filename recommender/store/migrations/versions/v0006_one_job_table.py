"""One table of jobs: recommendations move to the trainings and sweeps, their events to the events of jobs.

The number that tells attempts apart is called attempt, no longer epoch.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade from 0005."""
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
