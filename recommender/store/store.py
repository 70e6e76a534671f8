"""The store: the only writer of what this project remembers."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from recommender.store.checkpoints import Checkpoints
from recommender.store.database import Database
from recommender.store.datasets import RegisteredDatasets
from recommender.store.evidence import EvidenceCache
from recommender.store.jobs import Jobs
from recommender.store.keys import Keys
from recommender.store.launches import Launches
from recommender.store.models import CheckpointRow, IgnoredRunRow, RunRow
from recommender.store.profiles import Profiles
from recommender.store.recommendation_jobs import RecommendationJobs
from recommender.store.runs import RANKABLE, Runs


class Store(Database):
    """An open database, SQLite or PostgreSQL, and a repository for each subject in it.

    `Store()` opens RECOMMENDER_STORE_URL, else `store.sqlite3` in our home; `Store(path)` a SQLite file;
    `Store(url)` any supported address. New and older databases are brought to this version's schema, SQLite
    files after a backup. Raises StorageError for a database that cannot be trusted, leaving it untouched.
    """

    def __init__(self, url: str | Path | None = None) -> None:
        super().__init__(url)
        self.profiles = Profiles(self)
        self.checkpoints = Checkpoints(self)
        self.runs = Runs(self)
        self.evidence = EvidenceCache(self)
        self.keys = Keys(self)
        self.datasets = RegisteredDatasets(self)
        self.jobs = Jobs(self)
        self.launches = Launches(self)
        self.recommendations = RecommendationJobs(self)

    def fingerprint(self) -> str:
        """A text that changes whenever an answer may: with the runs that teach, and with the checkpoints."""
        return self.read(_fingerprint)


def _fingerprint(session: Session) -> str:
    """SHA-256 over all that answers rest on, apart from the program itself; cheap enough for each question."""
    runs = select(func.count(), func.max(RunRow.created_at)).where(RunRow.status.in_(RANKABLE))
    checkpoints = select(CheckpointRow.name, CheckpointRow.digest).order_by(CheckpointRow.name)
    count, latest = session.execute(runs).one()
    known = [(name, digest) for name, digest in session.execute(checkpoints)]
    ignored = tuple(session.scalars(select(IgnoredRunRow.run_id).order_by(IgnoredRunRow.run_id)))
    return hashlib.sha256(repr((count, latest, known, ignored)).encode()).hexdigest()
