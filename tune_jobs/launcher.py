"""Launches full trainings exactly once and sees them through: the outbox, the cluster and the store kept in step.

Every attempt of a job has a number. Its launch is owed in the outbox, in the transaction that made it due; it goes to
the cluster under an id made of job and number, which the cluster takes once; and whatever comes back is taken in only
while that attempt counts. So each step below may be repeated, by this launcher after a crash or by another at the same
time, and `kill -9` anywhere loses nothing and doubles nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    StorageError,
    UnavailableError,
    UsageError,
)
from recommender.records import Job
from recommender.store.records_json import decode
from recommender.text import counted
from tune_jobs.finalising import download, finalise
from tune_jobs.inputs import prepare
from tune_jobs.leases import TTL_S, Leases
from tune_jobs.messages import CRASH, OUTCOME, AttemptOutcome, Crash, Report, Revoked
from tune_jobs.ray_jobs import JobServer, Submission
from tune_jobs.storage import Storage, attempt, get_record, inputs, put_record, report, revoked
from tune_jobs.training_spec import KIND, TrainingSpec

if TYPE_CHECKING:
    from recommender.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The resources of one node."""

    cpus: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class LauncherSettings:
    """Settings of one launcher."""

    cluster: str  # the name under which its jobs are kept
    storage_url: str  # as the jobs open it
    python: str = sys.executable  # on the nodes
    module: str = "tune_jobs.full_training"
    environment: Mapping[str, str] = field(default_factory=dict)  # of the attempts
    default_cpus: int = 1  # of a training that does not say
    capacity: Callable[[], Capacity] | None = None  # of a cluster that cannot grow
    guard: Callable[[Job], None] | None = None  # raises UnavailableError where this job must not be launched
    download_to: Path | None = None  # bring results here, from a storage that people cannot see
    max_crashes: int = 3
    state_every_s: float = 30.0
    waiting_s: float = 30.0  # for a free node, after which it is said
    ttl_s: float = TTL_S


class Launcher:
    """Looks after the jobs of one cluster. `step` from one thread; any number of launchers may share a store."""

    def __init__(
        self,
        store: Store,
        cluster: JobServer,
        storage: Storage,
        settings: LauncherSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._storage = storage
        self._settings = settings
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._leases = Leases(store.launches, self.name, ttl_s=settings.ttl_s, clock=clock)
        self._clock = clock
        self._waiting_since: dict[str, float] = {}  # by submission
        self.trouble: str | None = None  # why the last step could not do everything
        self._troubles: dict[str, str] = {}  # the same by job

    def step(self) -> int:
        """Move every job on by what is possible now; returns how many have not ended.

        Raises StorageError while the store cannot be reached.
        """
        self.trouble, before, self._troubles = None, self._troubles, {}
        active = [
            (job, lease)
            for job, lease in self._store.launches.active(self._settings.cluster)
            if job.kind == KIND
        ]
        self._leases.forget({job.id for job, _ in active})
        for job, lease in active:
            try:
                if self._leases.holds(job.id, lease):
                    with self._leases.keeping(job.id):
                        self._advance(job, decode(TrainingSpec, job.spec))
            except ConflictError as error:  # another launcher was faster: the store is right
                log.info("job %s: %s", job.id, error)
            except (UnavailableError, StorageError) as error:
                self.trouble = self._troubles[job.id] = str(error)
                if before.get(job.id) != self.trouble:  # not twice a second for as long as it lasts
                    log.warning("job %s: %s", job.id, error)
                tell_once(self._store, job, self.trouble)
        return len(active)

    def _advance(self, job: Job, spec: TrainingSpec) -> None:
        if not job.submitted:
            self._deliver(job, spec)
        else:
            self._watch(job, spec)

    # ── towards the cluster ──

    def _deliver(self, job: Job, spec: TrainingSpec) -> None:
        if not self._store.launches.begin(job.id, job.attempt):
            if self._store.jobs.require(job.id).ended:  # cancelled between two attempts
                self._clear(job)
            return
        if job.cancel_requested:  # a launch was begun before, so it may be there already
            self._cancel(job)
            return
        try:
            self._require_fit(spec)
            if self._settings.guard is not None:
                self._settings.guard(job)
            prepare(
                self._store,
                self._storage,
                job,
                spec,
                num_threads=spec.cpus or self._settings.default_cpus,
                state_every_s=self._settings.state_every_s,
            )
        except (InputError, NotFoundError, UsageError) as error:
            self._store.launches.finish(job.id, job.attempt, status="failed", error=str(error))
            self._clear(job)
            return
        self._cluster.submit(self._submission(job, spec))
        if not self._store.launches.confirm(job.id, job.attempt):
            self._cluster.stop(job.submission_id)  # we stood still while another launcher ended the job

    def _require_fit(self, spec: TrainingSpec) -> None:
        """Refuse what would wait for ever."""
        if self._settings.capacity is None or not (spec.cpus or spec.gpus):
            return
        there = self._settings.capacity()
        if (spec.cpus or 0) > there.cpus or (spec.gpus or 0) > there.gpus:
            raise UsageError(
                f"Asked for: {spec.gpus or 0} GPU, {spec.cpus or 1} CPU. This machine has: {there.gpus} GPU, "
                f"{there.cpus} CPU.",
                remedy="Ask for what is there, or use a Ray cluster (--address).",
            )

    def _submission(self, job: Job, spec: TrainingSpec) -> Submission:
        settings = self._settings
        return Submission(
            id=job.submission_id,
            command=[
                settings.python,
                "-m",
                settings.module,
                settings.storage_url,
                job.id,
                str(job.attempt),
            ],
            cpus=spec.cpus or settings.default_cpus,
            gpus=spec.gpus,
            environment=settings.environment,
        )

    # ── and back ──

    def _watch(self, job: Job, spec: TrainingSpec) -> None:
        state = self._cluster.state(
            job.submission_id
        )  # before the outcome: what ended has left one, or never will
        outcome = get_record(self._storage, attempt(job.id, job.attempt, OUTCOME), AttemptOutcome)
        self._collect(job)  # after the outcome, which is written last: then no report is missed
        if outcome is not None:
            self._finalise(job, spec, outcome)
        elif job.cancel_requested:
            self._cancel(job)
        elif state == "running":
            if job.status == "queued":
                self._store.launches.mark_running(job.id, job.attempt)
        elif state == "stopped":
            self._store.launches.finish(
                job.id, job.attempt, status="cancelled", error="It was stopped on the cluster, not by us."
            )
            self._clear(job)
        elif state == "unstarted":
            self._again(job, "the cluster had no free node in time", crashed=False)
        elif state == "waiting":
            self._tell_waiting(job, spec)
        else:
            self._retry_or_fail(job, lost=state is None)

    def _tell_waiting(self, job: Job, spec: TrainingSpec) -> None:
        """Say what it waits for, once it has for a while: others' work may fill the cluster for hours."""
        since = self._waiting_since.setdefault(job.submission_id, self._clock())
        if self._clock() - since >= self._settings.waiting_s:
            wanted = counted(spec.cpus or self._settings.default_cpus, "CPU")
            if spec.gpus is None:  # as it is submitted
                wanted += " (and 1 GPU, if the cluster has any)"
            elif spec.gpus:
                wanted += f" and {counted(spec.gpus, 'GPU')}"
            tell_once(self._store, job, f"no node of the cluster has {wanted} free yet, so it waits")

    def _collect(self, job: Job) -> None:
        batch = job.collected
        while (found := get_record(self._storage, report(job.id, job.attempt, batch), Report)) is not None:
            self._store.launches.collect(job.id, job.attempt, batch=batch, points=found.points)
            batch += 1

    def _finalise(self, job: Job, spec: TrainingSpec, outcome: AttemptOutcome) -> None:
        artefacts = f"{self._settings.storage_url.rstrip('/')}/{attempt(job.id, job.attempt, 'results')}"
        try:
            if self._settings.download_to is not None:
                artefacts = str(download(self._storage, job, outcome, self._settings.download_to))
            finalise(self._store, self._storage, job, spec, outcome, artefacts=artefacts)
        except InputError as error:
            self._store.launches.finish(
                job.id, job.attempt, status="failed", run=outcome.run, error=str(error)
            )
        self._clear(job)

    def _cancel(self, job: Job) -> None:
        self._revoke(job, "cancelled")
        self._cluster.stop(job.submission_id)
        self._store.launches.finish(job.id, job.attempt, status="cancelled")
        self._clear(job)

    def _retry_or_fail(self, job: Job, *, lost: bool) -> None:
        crash = get_record(self._storage, attempt(job.id, job.attempt, CRASH), Crash)
        reason = (
            crash.error
            if crash
            else "the cluster lost it"
            if lost
            else self._cluster.last_words(job.submission_id) or "it ended without a word"
        )
        if job.crashes + 1 < self._settings.max_crashes:
            self._again(job, reason)
            return
        message = f"It crashed {job.crashes + 1} times without a further epoch; the last time: {reason}"
        run = crash.run if crash else None
        if self._store.launches.finish(job.id, job.attempt, status="failed", run=run, error=message):
            self._clear(job)

    def _again(self, job: Job, reason: str, *, crashed: bool = True) -> None:
        self._store.launches.next_attempt(job.id, job.attempt, reason=reason, crashed=crashed)
        self._revoke(job, reason)  # it may be frozen, not dead: should it come back, it stops by itself

    def _revoke(self, job: Job, reason: str) -> None:
        put_record(self._storage, revoked(job.id, job.attempt), Revoked(reason=reason))

    def _clear(self, job: Job) -> None:
        """Give back the space of what nobody needs any more. The results stay."""
        self._storage.remove(inputs(job.id, ""))
        for number in range(1, job.attempt + 1):
            self._storage.remove(attempt(job.id, number, "resume"))
            self._storage.remove(attempt(job.id, number, "reports"))
            if self._settings.download_to is not None:
                self._storage.remove(attempt(job.id, number, "results"))


def tell_once(store: Store, job: Job, message: str) -> None:
    """A note for whoever follows the job, unless it stands already: no change of its status came after it."""
    with contextlib.suppress(ConflictError, StorageError):  # another attempt counts, or the store is away
        note, status = (store.jobs.last_event(job.id, kind) for kind in ("note", "status"))
        stands = note is not None and (status is None or note.seq > status.seq)
        if note is None or not stands or json.loads(note.data).get("message") != message:
            store.launches.note(job.id, job.attempt, message)
