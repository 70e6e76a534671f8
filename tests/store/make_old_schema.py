"""`python -m tests.store.make_old_schema FILE`: a store as today's schema keeps it, with a row of each kind in it.

Run before a migration is added, into `old_schemas/REVISION.sqlite3`; those files are never made again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from recommender.store import Store
from tests.store.builders import checkpoint, profile, run

if __name__ == "__main__":
    with Store(Path(sys.argv[1])) as store:
        store.runs.add(run())
        store.checkpoints.put(checkpoint())
        store.profiles.put(profile())
