"""The Ray Tune trainable: one actor with one warm training process, used for trial after trial."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from recommender.home import subfolder
from recommender.store.records_json import encode
from tune_jobs.sweep.attempt import Attempt, Bench
from tune_jobs.sweep.depot import deliver_from, fetch_state, send_state, send_weights
from tune_jobs.sweep.plan import Limits, TrialSpec

BEAT_S = 2.0  # the driver hears from every trial at least this often


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What every trial actor is given once; its trials are then named by id."""

    specs: dict[str, TrialSpec]
    limits: Limits
    depot: Any  # handle of the depot; None where only one node is
    home_node: str  # the Ray node on which the parcels lie
    num_gpus: float
    num_threads: int


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Steps through trials. `reset_config` keeps the process, its imports and the node's data for the next one."""

    def setup(self, config: dict[str, Any], orders: Orders) -> None:
        """Called once by Ray Tune; `config` is {"id": …}."""
        self._orders = orders
        node = ray.get_runtime_context().get_node_id()
        depot = None if node == orders.home_node else orders.depot
        self._node = ray.util.get_node_ip_address()
        self._bench = Bench(
            folder=subfolder("work") / uuid.uuid4().hex[:12],
            device="cuda:0" if orders.num_gpus > 0 else "cpu",  # Ray shows the process its own GPUs only
            num_threads=orders.num_threads,
            limits=orders.limits,
            deliver=lambda parcel: deliver_from(depot, parcel),
            send_state=lambda id, path: send_state(depot, self._token, id, path),
            fetch_state=lambda id, path: fetch_state(depot, id, path),
            send_weights=lambda id, path: send_weights(depot, self._token, id, path),
        )
        self._begin(config["id"], None)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next trial with the same process."""
        self._attempt.abandon()
        self._begin(new_config["id"], self._attempt)
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next word of the trial, at most `BEAT_S`."""
        word = self._attempt.step(BEAT_S)
        said: dict[str, Any] = {
            "id": self._attempt.spec.id,
            "token": self._token,
            "kind": word.kind,
            "note": word.note,
            "node": self._node,
            "process": self._attempt.process.pid,
            "memory_mb": self._attempt.memory_mb,
            "done": word.kind == "run",
        }
        for name, record in (("point", word.point), ("run", word.run)):
            if record is not None:
                said[name] = encode(record)
        return said

    def request_stop(self, id: str, reason: str) -> None:
        """End the trial of that id cleanly at its next epoch."""
        if self._attempt.spec.id == id:
            self._attempt.stop(reason)

    def cleanup(self) -> None:
        """Called by Ray Tune at the end: leave no process and no file behind."""
        self._attempt.abandon()
        self._attempt.process.kill()
        with contextlib.suppress(OSError):
            self._attempt.process.log.unlink()
            self._bench.folder.rmdir()

    def _begin(self, id: str, previous: Attempt | None) -> None:
        self._token = uuid.uuid4().hex
        process = None if previous is None else previous.process
        self._attempt = Attempt(self._orders.specs[id], self._bench, process)
