"""Leases on jobs: who looks after one, whatever its kind."""

from __future__ import annotations

from sqlalchemy.orm import Session

from recommender.records import JOB_ENDED, Lease
from recommender.store.job_models import JobRow
from recommender.store.job_rows import RECOMMENDATION, lease_of
from recommender.store.repository import Repository


class JobLeases(Repository):
    """Taking and renewing; `tune_jobs.leases` decides when."""

    @staticmethod
    def _is_of_kind(row: JobRow) -> bool:
        """True if this repository looks after jobs of that kind: those that a cluster runs."""
        return row.kind != RECOMMENDATION

    def take_lease(self, id: str, *, seen: Lease, holder: str) -> bool:
        """Give the lease to `holder` if it is still as `seen`; False when it is not, or the job has ended."""

        def work(session: Session) -> bool:
            row = session.get(JobRow, id, with_for_update=True)
            if row is None or not self._is_of_kind(row) or row.status in JOB_ENDED or lease_of(row) != seen:
                return False
            row.lease_holder, row.lease_beat = holder, row.lease_beat + 1
            self._taken(session, row)
            return True

        return self._write(work)

    def renew_lease(self, id: str, *, holder: str) -> bool:
        """Add one to the beat of the lease; False when `holder` does not hold it any more, or the job has ended."""

        def work(session: Session) -> bool:
            row = session.get(JobRow, id, with_for_update=True)
            if row is None or row.status in JOB_ENDED or row.lease_holder != holder:
                return False
            row.lease_beat += 1
            return True

        return self._write(work)

    def _taken(self, session: Session, row: JobRow) -> None:
        """Called within the transaction that gave the lease away."""
