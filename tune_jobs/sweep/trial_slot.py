"""The Ray Tune trainable. It travels whole, so that it also starts on a node that lacks this package, and says so."""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

import ray
from ray import tune

BEAT_S = 2.0  # the driver hears from every trial at least this often


def trial_slot() -> type[tune.Trainable]:
    """A class whose actors import this package only once they run: Ray sends a class that is made here by value."""

    class TrialSlot(tune.Trainable):  # type: ignore[misc]
        """Room for trials on a node, one after another; `sweep` is a `SweepConfig`, pickled."""

        def setup(self, config: dict[str, Any], sweep: bytes) -> None:
            self._id, self._token = config["id"], uuid.uuid4().hex
            self._worker: Any = None
            try:
                from tune_jobs.sweep.trainable import TrialWorker

                read = ray.cloudpickle.loads(sweep)
            except (ImportError, AttributeError) as error:  # not installed, or in another version
                self._lacking = f"{type(error).__name__}: {error}"
            else:
                self._worker = TrialWorker(self._id, read)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._id = new_config["id"]
            if self._worker is not None:
                self._worker.next_trial(self._id)
            return True

        def step(self) -> dict[str, Any]:
            if self._worker is not None:
                return dict(self._worker.step(BEAT_S))
            time.sleep(BEAT_S)
            node = ray.util.get_node_ip_address()
            note = f"{node}: this node cannot train, {self._lacking}: install checkpoint-recommender in the"
            return {
                "id": self._id,
                "token": self._token,
                "kind": "unfit",
                "node": node,
                "process": None,
                "note": f"{note} environment of {sys.executable}",
                "done": False,
            }

        def request_stop(self, id: str, reason: str) -> None:
            """End the trial of that id cleanly at its next epoch."""
            if self._worker is not None:
                self._worker.request_stop(id, reason)

        def cleanup(self) -> None:
            if self._worker is not None:
                self._worker.cleanup()

    return TrialSlot
