"""One trial on one node, from delivery to its run, a few seconds at a time. No Ray in here."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from recommender.errors import RecommenderError, StorageError
from recommender.records import EpochMetrics, Run
from tune_jobs.artefact_transfer import Artefact
from tune_jobs.storage import RetryingStorage, Storage
from tune_jobs.sweep.resume_states import state_name
from tune_jobs.sweep.trained import trained_name
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec
from tune_jobs.sweep.unfinished_runs import STOPPED_BY_POLICY, failed_run
from tune_jobs.sweep.watchdog import Watchdog
from tune_jobs.training import TrainingJob
from tune_jobs.training.job import BEST_WEIGHTS, DISK_FULL, STATE_FILE
from tune_jobs.training.process import TrainingProcess

LOOK_S = 0.5  # between two looks at what the process uses
STATE_SHARE = 0.1  # of the time may go into carrying states away
REST_S = 10.0
# The end of a training process that lacks a package, or a library of the system as OpenCV's libGL.
NOT_INSTALLED = re.compile(r"^(?:ModuleNotFound|Import)Error: (?!.*failed to map segment).*\Z", re.MULTILINE)
MAX_CRASHES = 2  # of one trial on one node: the first may be the machine's fault

ResultT = TypeVar("ResultT")
Deliver = Callable[[Artefact], Path]


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """The configuration of one actor's worker process, in which its trials train one after another."""

    folder: Path  # logs, and what a training writes while it runs
    device: str
    num_threads: int
    limits: TrialLimits
    deliver: Deliver
    storage: Storage  # the home of the driver's node, for states and trained weights


@dataclass(frozen=True, kw_only=True)
class TrialEvent:
    """An event of a trial: a sign of life, an epoch, a new beginning after a crash, a node that cannot train, or
    the run.
    """

    kind: Literal["beat", "epoch", "again", "unfit", "run"]
    point: EpochMetrics | None = None
    run: Run | None = None
    note: str | None = None


class TrialRunner:
    """Steps through one trial. The process it is given is kept warm for the next one unless it had to be killed."""

    def __init__(self, spec: TrialSpec, worker: WorkerConfig, process: TrainingProcess | None) -> None:
        self.spec = spec
        self.worker = worker
        self.process = process if process is not None and process.is_alive else TrainingProcess(worker.folder)
        self._job: TrainingJob | None = None
        self._watch = Watchdog(limits=worker.limits, since=time.monotonic())
        self._curve: list[EpochMetrics] = []
        self._asked_at: float | None = None  # the process waits for an answer since then
        self._looked_at = 0.0
        self.memory_mb = 0.0  # of the process, when last looked at
        self._crashes = 0
        self._is_over = False
        self._stop_reason: str | None = None
        self._output = worker.folder / f"work-{spec.id}"
        self._carrier: Future[None] | None = None
        self._carried_at, self._carrying_s = 0.0, 0.0
        self._delivery: Future[tuple[Path, Path | None]] = _in_background(self._fetch)

    def stop(self, reason: str) -> None:
        """End the run cleanly at its next epoch."""
        self._stop_reason = reason

    def step(self, seconds: float) -> TrialEvent:
        """Wait up to that long for something to tell."""
        until = time.monotonic() + seconds
        self._answer()
        while (left_s := until - time.monotonic()) > 0:
            event = self._begin(left_s) if self._job is None else self._listen(min(LOOK_S, left_s))
            if event is not None:
                if event.kind == "run":
                    self._is_over = True
                    self._drop_broken_process(event.run)
                    self._rest()
                    self._send_weights()
                    shutil.rmtree(self._output, ignore_errors=True)
                return event
        return TrialEvent(kind="beat", note="fetching data" if self._job is None else None)

    def _drop_broken_process(self, run: Run | None) -> None:
        """End a process that a GPU's fault may have left unusable, and the memory that a failed run still holds."""
        if run is not None and run.status == "failed" and self.worker.device.startswith("cuda"):
            self.process.kill()

    def abandon(self) -> None:
        """Leave the trial as it is: kill a training under way."""
        if self._job is not None and not self._is_over:
            self.process.kill()
        self._rest()
        shutil.rmtree(self._output, ignore_errors=True)

    def _rest(self) -> None:
        """Let the state under way arrive before its folder goes."""
        if self._carrier is not None:
            wait([self._carrier], timeout=REST_S)

    def _send_weights(self) -> None:
        """Leave the best weights with the driver, when they were asked for."""
        best = self._output / BEST_WEIGHTS
        with contextlib.suppress(
            OSError, RecommenderError
        ):  # the run counts without them, and says it has none
            if self.spec.job.keep and best.exists():
                self.worker.storage.put(trained_name(self.spec.id), best)

    def _fetch(self) -> tuple[Path, Path | None]:
        weights = self.spec.weights
        places = (
            self.worker.deliver(self.spec.data),
            None if weights is None else self.worker.deliver(weights),
        )
        self._output.mkdir(parents=True, exist_ok=True)
        # An actor that is restarted is no fault of this node's.
        RetryingStorage(self.worker.storage).get(state_name(self.spec.id), self._output / STATE_FILE)
        return places

    def _begin(self, seconds: float) -> TrialEvent | None:
        """Start the training once everything is there."""
        if not wait([self._delivery], timeout=seconds).done:
            return None
        try:
            data, weights = self._delivery.result()
        except (StorageError, OSError) as error:  # no fault of the trial's: elsewhere there may be room
            return TrialEvent(kind="unfit", note=str(error))
        except RecommenderError as error:
            return self._failed(str(error))
        self._job = self.spec.on_node(
            data=data,
            weights=weights,
            output=self._output,
            device=self.worker.device,
            num_threads=self.worker.num_threads,
        )
        self._start(self._job)
        return None

    def _start(self, job: TrainingJob) -> None:
        self._watch = Watchdog(limits=self.worker.limits, since=time.monotonic())
        self._asked_at = None
        self.process.start(job)

    def _answer(self) -> None:
        if self._asked_at is None:
            return
        self._watch.paused(time.monotonic() - self._asked_at)
        self._asked_at = None
        self.process.answer(go_on=self._stop_reason is None)

    def _listen(self, seconds: float) -> TrialEvent | None:
        event = self.process.poll(seconds)
        if event is None:
            return self._look()
        kind, value = event
        if kind == "epoch":
            self._asked_at = time.monotonic()
            self._watch.epoch_ended(self._asked_at)
            self._curve = [point for point in self._curve if point.epoch < value.epoch] + [value]
            self._carry_state()
            return TrialEvent(kind="epoch", point=value)
        if kind == "done":
            return TrialEvent(kind="run", run=self._noted(value))
        return self._failed(value) if kind == "refused" else self._crashed(value)

    def _carry_state(self) -> None:
        """Leave the state where another node finds it, unless that would take too much of the time."""
        now = time.monotonic()
        busy = self._carrier is not None and not self._carrier.done()
        if busy or self._carrying_s > STATE_SHARE * (now - self._carried_at):
            return
        self._carried_at = now
        self._carrier = _in_background(self._send_state)

    def _send_state(self) -> None:
        state, began = self._output / STATE_FILE, time.monotonic()
        with contextlib.suppress(
            OSError, RecommenderError
        ):  # a state less only costs time, and only after a fault
            if state.exists():
                self.worker.storage.put(state_name(self.spec.id), state)
        self._carrying_s = time.monotonic() - began

    def _look(self) -> TrialEvent | None:
        """Give up a training that hangs or eats the memory."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return None
        self._looked_at = now
        cpu_s, rss_bytes = self.process.used()
        self.memory_mb = rss_bytes / 2**20
        reason = self._watch.overfills(self.process.pid, rss_bytes) or self._watch.hangs(now, cpu_s)
        if reason is None:
            return None
        self.process.kill()
        return self._failed(reason)

    def _crashed(self, how: str) -> TrialEvent:
        lacking = NOT_INSTALLED.search(how)
        if lacking is not None:
            remedy = f"install what is missing in the environment of {sys.executable}"
            return TrialEvent(kind="unfit", note=f"this node cannot train, {lacking[0]}: {remedy}")
        self._crashes += 1
        if self._crashes >= MAX_CRASHES or self._job is None:
            return self._failed(how)
        self.process = TrainingProcess(self.worker.folder)
        self._start(self._job)
        return TrialEvent(kind="again", note=how)

    def _failed(self, error: str) -> TrialEvent:
        if any(full in error for full in DISK_FULL):
            return TrialEvent(kind="unfit", note=error)
        job = self._job or self.spec.job
        return TrialEvent(kind="run", run=failed_run(job, error, curve=self._curve))

    def _noted(self, run: Run) -> Run:
        if run.status != "stopped" or self._stop_reason is None:
            return run
        return replace(run, notes=(*run.notes, STOPPED_BY_POLICY + self._stop_reason))


def _in_background(work: Callable[[], ResultT]) -> Future[ResultT]:
    pool = ThreadPoolExecutor(1, thread_name_prefix="carrier")
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future
