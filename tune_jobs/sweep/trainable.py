"""The work of one trial actor: one warm training process, used for trial after trial."""

from __future__ import annotations

import contextlib
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from recommender.errors import StorageError
from recommender.home import subfolder
from recommender.leftovers import sweep_leftovers
from recommender.store.records_json import encode
from tune_jobs.sweep.artefact_store import deliver_from, files_at
from tune_jobs.sweep.trial_runner import TrialEvent, TrialRunner, WorkerConfig
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec
from tune_jobs.training.hardware import installed_versions

OURS = "checkpoint-recommender"
SAME_EVERYWHERE = (OURS, "ultralytics")  # else one run's id would mean several trainings
IN_ANY_VERSION = (
    "torch",
    "torchvision",
    "safetensors",
)  # what else lacks shows when its first training imports it


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """The configuration given to every trial actor once; its trials are then named by id."""

    specs: dict[str, TrialSpec]
    limits: TrialLimits
    artefact_store: Any  # handle; None where only one node is
    home_node: str  # the Ray node on which the artefacts lie
    num_gpus: float
    num_threads: int
    versions: Mapping[str, str]  # on the driver's machine, of what every node must have


def versions_of_training() -> dict[str, str]:
    """The versions installed here of the packages that every node must have."""
    return installed_versions((*SAME_EVERYWHERE, *IN_ANY_VERSION))


class TrialWorker:
    """Steps through trials. `next_trial` keeps the process, its imports and the node's data for the next one."""

    def __init__(self, id: str, sweep: SweepConfig) -> None:
        self._sweep = sweep
        self._node_id = node = ray.get_runtime_context().get_node_id()
        artefact_store = None if node == sweep.home_node else sweep.artefact_store
        self._node = ray.util.get_node_ip_address()
        self._unfit = _difference(sweep.versions)
        self._unfit_for_one = False  # found out by a trial: it may be that trial's fault
        folder = Path()
        try:
            folder = subfolder("work") / uuid.uuid4().hex[:12]
            sweep_leftovers(trials_only=True)  # by trials whose node was killed: nobody else comes by here
        except StorageError as error:
            self._unfit = str(error)
        self._bench = WorkerConfig(
            folder=folder,
            device="cuda:0" if sweep.num_gpus > 0 else "cpu",  # Ray shows the process its own GPUs only
            num_threads=sweep.num_threads,
            limits=sweep.limits,
            deliver=lambda artefact: deliver_from(artefact_store, artefact),
            storage=files_at(artefact_store),
        )
        self._runner: TrialRunner | None = None
        self._begin(id)

    def next_trial(self, id: str) -> None:
        """Take up the next trial with the same process."""
        if self._runner is not None:
            self._runner.abandon()
        if self._unfit_for_one:
            self._unfit, self._unfit_for_one = None, False
        self._begin(id)

    def step(self, seconds: float) -> dict[str, Any]:
        """Wait for the next event of the trial, at most that long."""
        event = self._next_event(seconds)
        result: dict[str, Any] = {
            "id": self._id,
            "token": self._token,
            "kind": event.kind,
            "note": f"{self._node}: {event.note}" if event.kind == "unfit" else event.note,
            "node": self._node,
            "unfit_on": self._node_id if self._unfit_for_one else None,
            "process": None if self._runner is None else self._runner.process.pid,
            "memory_mb": 0.0 if self._runner is None else self._runner.memory_mb,
            "done": event.kind == "run",
        }
        for name, record in (("point", event.point), ("run", event.run)):
            if record is not None:
                result[name] = encode(record)
        return result

    def _next_event(self, seconds: float) -> TrialEvent:
        """The next event of the runner; on a node that cannot train always that, to keep other trials from its slot."""
        if self._runner is None:
            time.sleep(seconds)
            return TrialEvent(kind="unfit", note=self._unfit)
        event = self._runner.step(seconds)
        if event.kind == "unfit":
            self._unfit, self._unfit_for_one = event.note, True
            self.cleanup()
        return event

    def request_stop(self, id: str, reason: str) -> None:
        """End the trial of that id cleanly at its next epoch."""
        if self._runner is not None and self._id == id:
            self._runner.stop(reason)

    def cleanup(self) -> None:
        """Leave no process and no file behind."""
        if self._runner is None:
            return
        self._runner.abandon()
        self._runner.process.kill()
        with contextlib.suppress(OSError):
            self._runner.process.log.unlink()
            self._bench.folder.rmdir()
        self._runner = None

    def _begin(self, id: str) -> None:
        self._id, self._token = id, uuid.uuid4().hex
        if self._unfit is not None:
            return
        process = None if self._runner is None else self._runner.process
        try:
            self._runner = TrialRunner(self._sweep.specs[id], self._bench, process)
        except OSError as error:  # a full disk lets nothing begin
            self._runner, self._unfit = None, str(error)


def _difference(wanted: Mapping[str, str]) -> str | None:
    """The reason why this node must not train, and the remedy: it lacks a package that the driver has, or has another
    version of one that decides what is trained. None where it has all.
    """
    here = installed_versions(wanted)
    different = [
        f"{name} {here.get(name, 'not at all')} where the driver has {version}"
        for name, version in wanted.items()
        if name not in here or (name in SAME_EVERYWHERE and here[name] != version)
    ]
    remedy = f"install {OURS} {wanted.get(OURS, '')} and what it needs in the environment of {sys.executable}"
    return f"this node has {', '.join(different)}: {remedy}" if different else None
