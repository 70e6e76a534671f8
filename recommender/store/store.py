"""The store: the only writer of what this project remembers."""

from __future__ import annotations

from typing import Self

from recommender.store.asks import Asks
from recommender.store.checkpoints import Checkpoints
from recommender.store.events import Events
from recommender.store.evidence import EvidenceCache
from recommender.store.fingerprint import Fingerprints
from recommender.store.held import HeldDatasets
from recommender.store.jobs import Jobs
from recommender.store.keys import Keys
from recommender.store.launches import Launches
from recommender.store.listings import Listings
from recommender.store.profiles import Profiles
from recommender.store.runs import Runs


class Store(
    Profiles,
    Checkpoints,
    Runs,
    EvidenceCache,
    Keys,
    HeldDatasets,
    Asks,
    Events,
    Fingerprints,
    Listings,
    Jobs,
    Launches,
):
    """Profiles, checkpoints, runs, jobs and cached evidence, in SQLite or PostgreSQL.

    `Store()` opens RECOMMENDER_STORE_URL, else `store.sqlite3` in our home; `Store(path)` a SQLite file;
    `Store(url)` any supported address. New and older databases are brought to this version's schema, SQLite
    files after a backup. Raises StorageError for a database that cannot be trusted, leaving it untouched.
    """

    @classmethod
    def open_default(cls) -> Self:
        """The store that the environment names."""
        return cls(None)
