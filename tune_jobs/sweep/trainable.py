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
from tune_jobs.sweep.artefact_store import deliver_from, fetch_state, send_state, send_weights
from tune_jobs.sweep.trial_runner import TrialRunner, WorkerConfig
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec

BEAT_S = 2.0  # the driver hears from every trial at least this often


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """The configuration given to every trial actor once; its trials are then named by id."""

    specs: dict[str, TrialSpec]
    limits: TrialLimits
    artefact_store: Any  # handle; None where only one node is
    home_node: str  # the Ray node on which the artefacts lie
    num_gpus: float
    num_threads: int


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Steps through trials. `reset_config` keeps the process, its imports and the node's data for the next one."""

    def setup(self, config: dict[str, Any], sweep: SweepConfig) -> None:
        """Called once by Ray Tune; `config` is {"id": …}."""
        self._sweep = sweep
        node = ray.get_runtime_context().get_node_id()
        artefact_store = None if node == sweep.home_node else sweep.artefact_store
        self._node = ray.util.get_node_ip_address()
        self._bench = WorkerConfig(
            folder=subfolder("work") / uuid.uuid4().hex[:12],
            device="cuda:0" if sweep.num_gpus > 0 else "cpu",  # Ray shows the process its own GPUs only
            num_threads=sweep.num_threads,
            limits=sweep.limits,
            deliver=lambda artefact: deliver_from(artefact_store, artefact),
            send_state=lambda id, path: send_state(artefact_store, self._token, id, path),
            fetch_state=lambda id, path: fetch_state(artefact_store, id, path),
            send_weights=lambda id, path: send_weights(artefact_store, self._token, id, path),
        )
        self._begin(config["id"], None)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up the next trial with the same process."""
        self._runner.abandon()
        self._begin(new_config["id"], self._runner)
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next event of the trial, at most `BEAT_S`."""
        event = self._runner.step(BEAT_S)
        result: dict[str, Any] = {
            "id": self._runner.spec.id,
            "token": self._token,
            "kind": event.kind,
            "note": event.note,
            "node": self._node,
            "process": self._runner.process.pid,
            "memory_mb": self._runner.memory_mb,
            "done": event.kind == "run",
        }
        for name, record in (("point", event.point), ("run", event.run)):
            if record is not None:
                result[name] = encode(record)
        return result

    def request_stop(self, id: str, reason: str) -> None:
        """End the trial of that id cleanly at its next epoch."""
        if self._runner.spec.id == id:
            self._runner.stop(reason)

    def cleanup(self) -> None:
        """Called by Ray Tune at the end: leave no process and no file behind."""
        self._runner.abandon()
        self._runner.process.kill()
        with contextlib.suppress(OSError):
            self._runner.process.log.unlink()
            self._bench.folder.rmdir()

    def _begin(self, id: str, previous: TrialRunner | None) -> None:
        self._token = uuid.uuid4().hex
        process = None if previous is None else previous.process
        self._runner = TrialRunner(self._sweep.specs[id], self._bench, process)
