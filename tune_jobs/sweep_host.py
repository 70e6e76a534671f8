"""The process that drives sweeps asked for over HTTP: `python -m tune_jobs.sweep_host`. One per cluster and store.

A sweep counts every run once by itself, so this host needs little: it takes a job's lease, drives the sweep, tells
what happens, and files the end. Killed, it is started again, and the next attempt goes on with what is finished.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
import time
import uuid
from collections.abc import Callable
from os import getpid

from pydantic import ValidationError

from recommender.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    StorageError,
    UnavailableError,
    UsageError,
)
from recommender.records import Job
from recommender.requests import SweepRequest
from recommender.store import Store
from tune_jobs.hosting import JobLocation, run_host
from tune_jobs.launcher import tell_once
from tune_jobs.leases import Leases
from tune_jobs.sweep.documents import SweepCost
from tune_jobs.sweep.event_writer import EventWriter

MODULE = "tune_jobs.sweep_host"
KIND = "sweep"
HASHES, IDS = "dataset_hashes", "dataset_ids"  # in a job's spec, beside the request
LOOK_EVERY_S = 2.0
IDLE_S = 6.0
MAX_CRASHES = 3
MAX_PAUSE_S = 60.0  # between looks at a cluster that is away
log = logging.getLogger(MODULE)


def main() -> int:
    """Drive the sweeps there are, one after the other, then end; returns the exit code."""

    def serve(store: Store, place: JobLocation, _parent: int | None) -> int:
        SweepHost(store, place).run()
        return 0

    return run_host(MODULE, KIND, serve)


class SweepHost:
    """Looks after the sweeps of one cluster."""

    def __init__(self, store: Store, place: JobLocation) -> None:
        self._store = store
        self._place = place
        self._waiting: dict[str, tuple[float, float]] = {}  # until when, and for how long, by job
        self._leases = Leases(store.launches, f"{socket.gethostname()}:{getpid()}:{uuid.uuid4().hex[:8]}")

    def run(self) -> None:
        """Drive sweeps until there has been nothing to do for a while, or this process is told to end."""
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < IDLE_S:
            waiting = [
                (job, lease)
                for job, lease in self._store.launches.active(self._place.cluster)
                if job.kind == KIND
            ]
            for job, lease in waiting:
                idle_since = time.monotonic()
                if self._leases.holds(job.id, lease) and not self._pauses(job):
                    with self._leases.keeping(job.id):
                        interrupted = self._drive(job)
                    if interrupted:
                        return
            if waiting:
                idle_since = time.monotonic()
            time.sleep(LOOK_EVERY_S)

    def _drive(self, job: Job) -> bool:
        """Drive a sweep to its end, or as far as it goes now; returns whether this process was told to end."""
        try:
            if job.submitted:  # a host before us died of it, or with it
                if not self._again(job, "its host died"):
                    return False
                job = self._store.jobs.require(job.id)
            if not self._store.launches.begin(job.id, job.attempt):
                return False
            if not self._store.launches.confirm(job.id, job.attempt):
                return False
            self._store.launches.mark_running(job.id, job.attempt)
            interrupted = self._sweep(job)
            self._waiting.pop(job.id, None)
            return interrupted
        except ConflictError as error:  # another host has taken over: the store is right
            log.info("sweep %s: %s", job.id, error)
        except UnavailableError as error:
            log.warning("sweep %s: %s", job.id, error)
            if self._is_away():  # for now
                self._wait(job, str(error))
            else:
                self._again(job, str(error))
        except (InputError, NotFoundError, UsageError) as error:
            self._store.launches.finish(job.id, job.attempt, status="failed", error=str(error))
        return False

    def _is_away(self) -> bool:
        """True where a cluster was named and its head does not answer: other faults do not pass by waiting."""
        try:
            self._place.require_answer()
        except UnavailableError:
            return True
        return False

    def _pauses(self, job: Job) -> bool:
        """True while a sweep waits for a cluster that was away; one to be cancelled is looked at anyway."""
        again_at, _ = self._waiting.get(job.id, (0.0, 0.0))
        return time.monotonic() < again_at and not job.cancel_requested

    def _wait(self, job: Job, reason: str) -> None:
        """Owe another attempt, after a pause twice as long as the one before; as for trainings, it is no crash."""
        if job.id not in self._waiting:
            tell_once(self._store, job, reason)
        _, pause_s = self._waiting.get(job.id, (0.0, LOOK_EVERY_S / 2))
        pause_s = min(2 * pause_s, MAX_PAUSE_S)
        self._waiting[job.id] = (time.monotonic() + pause_s, pause_s)
        self._store.launches.next_attempt(job.id, job.attempt, reason=reason, crashed=False)

    def _again(self, job: Job, reason: str) -> bool:
        """Owe another attempt, or give up after a few; returns whether there will be one."""
        if job.crashes + 1 >= MAX_CRASHES:
            error = f"It was tried {job.crashes + 1} times; the last time: {reason}"
            self._store.launches.finish(job.id, job.attempt, status="failed", error=error)
            return False
        self._store.launches.next_attempt(job.id, job.attempt, reason=reason)
        return True

    def _sweep(self, job: Job) -> bool:
        """Run its trials and file the end; returns whether a signal ended it, in which case another attempt is owed."""
        from tune_jobs.sweep.grid import sweep
        from tune_jobs.sweep.result_matrix import sweep_document

        request, hashes = _request_of(job)
        request = request.model_copy(update={"address": self._place.address})
        event_writer = EventWriter(
            lambda kind, data: self._store.launches.add_event(job.id, job.attempt, kind, data)
        )
        cost = self._store.jobs.last_event(job.id, "cost")
        swept = sweep(
            request,
            store=self._store,
            progress=event_writer.progress,
            display=event_writer,
            stop=self._watch(job),
            allow_loopback=False,  # asked for over HTTP, by people who cannot know who else reaches that head
            before=None if cost is None else SweepCost.model_validate_json(cost.data),
            hashes=hashes,
        )
        event_writer.show(swept.result.view, whole=True)
        if swept.result.was_interrupted:
            self._store.launches.next_attempt(
                job.id, job.attempt, reason="its host was told to end", crashed=False
            )
            return True
        document = sweep_document(swept.result, swept.notices)
        self._store.launches.add_event(job.id, job.attempt, "result", document.model_dump(mode="json"))
        cancelled = swept.result.reason == "cancelled"
        self._store.launches.finish(job.id, job.attempt, status="cancelled" if cancelled else "succeeded")
        return False

    def _watch(self, job: Job) -> Callable[[], str | None]:
        """A function that returns the reason to end a sweep: its owner, or another host that has taken over."""
        looked_at = [float("-inf")]

        def stop() -> str | None:
            now = time.monotonic()
            if now - looked_at[0] < LOOK_EVERY_S:
                return None
            looked_at[0] = now
            try:
                current = self._store.jobs.require(job.id)
            except StorageError:
                return None  # away for a moment
            if current.attempt != job.attempt or current.ended:
                return "taken over"
            return "cancelled" if current.cancel_requested else None

        return stop


def _request_of(job: Job) -> tuple[SweepRequest, list[str]]:
    """The sweep asked for, and the content hashes of its data sets then; none of jobs of earlier versions.

    Raises UsageError for a sweep that an earlier version accepted and this one does not.
    """
    spec = json.loads(job.spec)
    hashes = spec.pop(HASHES, [])
    spec.pop(IDS, None)
    try:
        return SweepRequest.model_validate(spec), hashes
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        raise UsageError(
            f"This version does not accept the sweep as it was asked for: {wrong}.",
            remedy="Ask for it again within these limits.",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
