"""Records the runs of a sweep: each asked once, each counted once, none written by a stale driver."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from recommender.errors import ConflictError, StorageError
from recommender.leftovers import TEMPORARY
from recommender.records import Estimate, Run
from recommender.store import Store
from recommender.store.records_json import decode
from tune_jobs.storage import Storage, put_record
from tune_jobs.sweep.trained import trained_path
from tune_jobs.sweep.unfinished_runs import is_finished


class RunRecorder:
    """The store, and the user's storage beside it, which outlives the driver's machine.

    Used by the driver's thread only; nobody else writes. Raises StorageError where either refuses.
    """

    def __init__(
        self,
        store: Store,
        storage: Storage | None = None,
        *,
        keeping: Collection[str] = (),
        estimates: Mapping[str, Estimate] | None = None,
    ) -> None:
        self._store = store
        self._storage = storage
        self._keeping = frozenset(keeping)  # runs of which the weights are wanted as well
        self._estimates = estimates or {}  # by run, made before any of them began
        self._epochs: dict[str, int] = {}

    def finished_run(self, id: str) -> Run | None:
        """The run, when asking again would bring nothing new. One that only the storage has enters the store.

        A run whose weights are wanted and do not lie here is trained again, which gives them and the same record.
        """
        if id in self._keeping and not trained_path(id).exists():
            return None
        run = self._store.runs.get(id)
        if run is not None and is_finished(run):
            return run
        found = self._from_storage(id)
        if found is None or found.id != id or not is_finished(found):
            return None
        self._store.runs.add(found)
        return found

    def begin(self, id: str) -> None:
        """A trial starts here, or starts again: whoever began it before may not write its result any more."""
        self._epochs[id] = self._store.runs.claim(id)

    def accept(self, run: Run) -> bool:
        """Record a finished or failed run. False when another driver has begun the same trial since."""
        run = replace(run, estimate=self._estimates.get(run.id))
        try:
            self._store.runs.add(run, attempt=self._epochs.get(run.id))
        except ConflictError:
            return False
        except StorageError:
            self._keep(run)  # the same command finds it in the storage again
            raise
        self._keep(run)
        return True

    def _keep(self, run: Run) -> None:
        if self._storage is not None and is_finished(run):
            put_record(self._storage, _name(run.id), run)

    def _from_storage(self, id: str) -> Run | None:
        if self._storage is None:
            return None
        with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
            file = Path(folder) / "run.json"
            if not self._storage.get(_name(id), file):
                return None
            try:
                return decode(Run, file.read_text("ascii", errors="replace"))
            except StorageError:  # damaged: train it again, which replaces the file
                return None


def _name(id: str) -> str:
    return f"runs/{id}.json"
