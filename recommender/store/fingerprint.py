"""A short text that changes whenever an answer may: with the runs that teach, and with the checkpoints."""

from __future__ import annotations

import hashlib

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from recommender.store.models import CheckpointRow, IgnoredRunRow, RunRow
from recommender.store.runs import RANKABLE


def fingerprint(session: Session) -> str:
    """SHA-256 over everything that answers rest on, apart from the program itself; cheap enough for each question."""
    runs = select(func.count(), func.max(RunRow.created_at)).where(RunRow.status.in_(RANKABLE))
    checkpoints = select(CheckpointRow.name, CheckpointRow.digest).order_by(CheckpointRow.name)
    count, latest = session.execute(runs).one()
    known = [(name, digest) for name, digest in session.execute(checkpoints)]
    ignored = tuple(session.scalars(select(IgnoredRunRow.run_id).order_by(IgnoredRunRow.run_id)))
    return hashlib.sha256(repr((count, latest, known, ignored)).encode()).hexdigest()
