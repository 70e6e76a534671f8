"""A short text that changes whenever an answer may: with the runs that teach, and with the checkpoints."""

from __future__ import annotations

import hashlib

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from recommender.store.database import Database, storable
from recommender.store.job_models import JobRow
from recommender.store.models import CheckpointRow, ProfileRow, RunRow
from recommender.store.runs import RANKABLE


class Fingerprints(Database):
    """Cheap to ask, at every question."""

    def knowledge(self) -> str:
        """The fingerprint of everything that answers rest on, apart from the program itself."""
        runs = select(func.count(), func.max(RunRow.created_at)).where(RunRow.status.in_(RANKABLE))
        checkpoints = select(CheckpointRow.name, CheckpointRow.digest).order_by(CheckpointRow.name)

        def work(session: Session) -> str:
            count, latest = session.execute(runs).one()
            known = [(name, digest) for name, digest in session.execute(checkpoints)]
            return hashlib.sha256(repr((count, latest, known)).encode()).hexdigest()

        return self.read(work)

    def has_profile(self, dataset_hash: str, encoder: str) -> bool:
        """Whether a content has been profiled, without reading the profile."""
        if not (storable(dataset_hash) and storable(encoder)):
            return False
        query = select(ProfileRow.dataset_hash).where(
            ProfileRow.dataset_hash == dataset_hash, ProfileRow.encoder == encoder
        )
        return self.read(lambda session: session.scalar(query)) is not None

    def count_runs(self) -> dict[str, int]:
        """Runs by status."""
        query = select(RunRow.status, func.count()).group_by(RunRow.status)
        return dict(self.read(lambda session: [(status, count) for status, count in session.execute(query)]))

    def count_jobs(self) -> dict[tuple[str, str], int]:
        """Jobs by kind and status."""
        query = select(JobRow.kind, JobRow.status, func.count()).group_by(JobRow.kind, JobRow.status)
        rows = self.read(lambda session: session.execute(query).all())
        return {(row[0], row[1]): row[2] for row in rows}
