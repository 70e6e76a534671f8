"""The driver's side of a sweep, without Ray: keeps the score, asks the policy, guards the budget and the store."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from recommender.errors import RecommenderError, StorageError, UnavailableError
from recommender.records import EpochMetrics, Run
from recommender.store.records_json import decode
from recommender.text import counted
from tune_jobs.sweep.compute_budget import ComputeBudget
from tune_jobs.sweep.left_out_slots import LeftOutSlots
from tune_jobs.sweep.policy import NOT_WANTED, NOTHING_FITS, Policy, SweepView, TrialState, TrialView
from tune_jobs.sweep.resume_states import drop_state
from tune_jobs.sweep.run_recorder import RunRecorder
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec
from tune_jobs.sweep.unfinished_runs import failed_run

SLACK_S = 20.0  # two events of a trial that is well are never so far apart
FITS_FACTOR = 0.9  # a trial is started when this much of its estimated time is left


@dataclass(frozen=True, kw_only=True)
class Slots:
    """The number of trials that fit on the cluster, of those allowed at a time, and the resources of one."""

    count: int
    max_parallel: int | None = None
    device: Literal["gpu", "cpu"]
    devices_per_trial: float  # GPUs, or CPUs on a cluster without


@dataclass(kw_only=True)
class _Trial:
    spec: TrialSpec
    state: TrialState = "waiting"
    curve: list[EpochMetrics] = field(default_factory=list)
    spent_s: float = 0.0  # by attempts that are over
    since: float | None = None
    last_event_at: float | None = None
    run: Run | None = None
    reused: bool = False
    node: str | None = None
    process: int | None = None
    memory_mb: float = 0.0
    note: str | None = None
    token: str | None = None
    ended_tokens: set[str] = field(default_factory=set)
    restarts: int = 0
    last_view: TrialView | None = None  # the view of a trial that does not run, built once


class TrialDriver:
    """Starts, watches and ends the trials of a sweep. Used by one thread.

    Never raises into Ray Tune: an error of ours ends the sweep and is raised afterwards.
    """

    def __init__(
        self,
        specs: Sequence[TrialSpec],
        *,
        recorder: RunRecorder,
        policy: Policy,
        compute_budget: ComputeBudget,
        slots: Slots,
        limits: TrialLimits,
        clock: Callable[[], float] = time.monotonic,
        began_at: float | None = None,
        device_s_before: float = 0.0,
    ) -> None:
        self._trials = {spec.id: _Trial(spec=spec) for spec in specs}
        self._recorder, self._policy, self._limits = recorder, policy, limits
        self.compute_budget, self.slots = compute_budget, slots
        self._clock = clock
        self._began_at = clock() if began_at is None else began_at
        self._device_s_before = device_s_before  # by attempts at this sweep before: they count too
        self._awake_at = clock()
        self._left_out = LeftOutSlots()
        self._reason: str | None = None
        self._asked_to_stop: str | None = (
            None  # written by `stop` alone, which may interrupt any other assignment
        )
        self.error: Exception | None = None
        for trial in self._trials.values():
            self._recall(trial)

    # ── what Ray Tune asks ──

    def next_id(self) -> str | None:
        """The trial to start now, or None. Trials known by now, or too long for the budget, are passed over."""
        while self.stop_reason() is None and self._num_running() < self._num_slots():
            id = self._guarded(self._policy.next, self.view())
            trial = self._trials.get(id or "")
            if trial is None or trial.state != "waiting":
                if self._num_running() == 0:
                    passed_over = any(other.state == "cut off" for other in self._trials.values())
                    self._reason = self._reason or (NOTHING_FITS if passed_over else NOT_WANTED)
                return None
            if self._recall(trial):
                continue
            if not self._fits(trial):
                trial.state, trial.note = "cut off", "too long for what is left of the budget"
                continue
            trial.state = "running"
            return trial.spec.id
        return None

    def is_over(self) -> bool:
        """True if no trial will be started any more."""
        return self.stop_reason() is not None or not any(
            trial.state in ("waiting", "running") for trial in self._trials.values()
        )

    def stop_reason(self) -> str | None:
        """The reason why everything has to stop now, or None."""
        if self._reason is None:
            rate = self._num_running() * self.slots.devices_per_trial if self._is_device else 1.0
            if self._asked_to_stop is not None:
                self._reason = self._asked_to_stop
            elif self.compute_budget.is_spent(self._spent_s(), rate=rate):
                self._reason = "the budget is spent"
            else:
                self._reason = self._guarded(self._policy.done, self.view())
        return self._reason or self._asked_to_stop

    def stop(self, reason: str) -> None:
        """Ask for the end, from a signal handler or another thread."""
        self._asked_to_stop = self._asked_to_stop or reason

    # ── what Ray Tune reports ──

    def started(self, id: str) -> None:
        """An actor takes the trial up: from now on only its result counts."""
        trial = self._trials.get(id)
        if trial is None:
            return
        self._end_attempt(trial)
        trial.state, trial.since = "running", self._clock()
        trial.last_event_at = trial.since
        self._guarded(self._recorder.begin, id)

    def accepts(self, id: str) -> bool:
        """True if what this trial says still matters."""
        return id in self._trials and self._trials[id].state == "running"

    def receive(self, id: str, event: dict[str, Any]) -> str | None:
        """Take in what an actor says. Returns why the trial should stop, or None."""
        trial = self._trials[id]
        token = str(event["token"])
        if token in trial.ended_tokens or trial.state != "running":
            return None  # a node that was given up and came back
        trial.token = token
        trial.last_event_at = self._awake_at = self._clock()
        trial.node, trial.process, trial.note = event["node"], event["process"], event.get("note")
        trial.memory_mb = float(event.get("memory_mb") or 0.0)
        if event["kind"] == "epoch":
            return self._on_epoch(trial, decode(EpochMetrics, event["point"]))
        if event["kind"] == "unfit":
            self._give_back(trial, event.get("unfit_on"))
        if event["kind"] == "run":
            self._finish(trial, decode(Run, event["run"]))
        return None

    def is_given_back(self, id: str) -> bool:
        """True if the slots that this trial took out are there for others again, since it was at fault itself."""
        return self._left_out.is_at_fault(id)

    def worker_lost(self, id: str, why: str) -> bool:
        """The trial's actor or node died. Returns whether it may be started again."""
        trial = self._trials.get(id)
        if trial is None or trial.state != "running":
            return False
        self._end_attempt(trial)
        trial.restarts += 1
        trial.note = why
        if trial.restarts > self._limits.max_restarts:
            self._finish(
                trial,
                failed_run(trial.spec.job, f"given up after {counted(trial.restarts, 'attempt')}: {why}"),
            )
            return False
        return True

    def requeue(self, id: str) -> None:
        """Ray Tune has forgotten a lost trial: the policy may start it as a new one."""
        if self._trials[id].state == "running":
            self._trials[id].state = "waiting"

    def requeue_running(self, why: str) -> None:
        """Everything under way was lost at once: let the next fit start it again.

        Memory is what breaks a whole fit, so only the trial that held most of it is blamed: the others restart
        as often as it takes.
        """
        self._left_out.clear()  # what kept their slots from others is gone too
        running = [trial for trial in self._trials.values() if trial.state == "running"]
        largest = max(running, key=lambda trial: trial.memory_mb, default=None)
        for trial in running:
            if trial is largest:
                self.worker_lost(trial.spec.id, why)
            else:
                self._end_attempt(trial)
            self.requeue(trial.spec.id)

    @property
    def num_ended(self) -> int:
        """Trials that need no more work."""
        return sum(trial.state in ("finished", "failed") for trial in self._trials.values())

    def silent_trials(self) -> list[str]:
        """Trials whose actors have not sent an event for too long."""
        now, before = self._clock(), self._awake_at
        self._awake_at = now
        limit = self._limits.silent_actor_s
        if now - before > max(limit - SLACK_S, limit / 2):  # we were stopped: they may have said much since
            for trial in self._trials.values():
                trial.last_event_at = now
        return [
            id
            for id, trial in self._trials.items()
            if trial.state == "running"
            and trial.since is not None
            and now - (trial.last_event_at or now) > self._limits.silent_actor_s
        ]

    def close(self) -> None:
        """End the sweep: what was under way counts as cut off."""
        for trial in self._trials.values():
            if trial.state == "running":
                self._end_attempt(trial)
                trial.state, trial.note = "cut off", self._reason or self._asked_to_stop

    # ── what the display and the policy see ──

    def view(self) -> SweepView:
        """Everything known right now."""
        return SweepView(
            trials=tuple(self._view_of(trial) for trial in self._trials.values()),
            elapsed_s=self._clock() - self._began_at,
            spent_s=self._spent_s(),
            limit_s=self.compute_budget.limit_s,
            budget_kind=self.compute_budget.kind,
            device_seconds=self._device_seconds(),
            device=self.slots.device,
            num_slots=self._num_slots(),
            left_out=self._left_out.reasons,
        )

    # ── inside ──

    @property
    def _is_device(self) -> bool:
        return self.compute_budget.kind == "device"

    def _on_epoch(self, trial: _Trial, point: EpochMetrics) -> str | None:
        # A trial that was resumed may go a step back: each epoch counts once, the latest word on it stands.
        trial.curve = [known for known in trial.curve if known.epoch < point.epoch] + [point]
        reason: str | None = self._guarded(self._policy.judge, self.view(), self._view_of(trial))
        return reason

    def _give_back(self, trial: _Trial, unfit_on: str | None) -> None:
        """Let another slot have a trial that its node cannot train; that slot is gone, or the trial at fault fails.

        `unfit_on` is a node that found out by this trial.
        """
        self._end_attempt(trial)
        trial.state = "waiting"
        waiting = {id: other.spec.data.key for id, other in self._trials.items() if other.state == "waiting"}
        at_fault = self._left_out.add(
            trial.spec.id,
            trial.note or "",
            unfit_on=unfit_on,
            waiting=waiting,
            num_slots=self.slots.count,
        )
        for failed in (self._trials[id] for id in at_fault):
            why = f"no node that had it could train it: {failed.note}"
            self._finish(failed, failed_run(failed.spec.job, why))
        if not at_fault and len(self._left_out.reasons) >= self.slots.count:
            self.error = self.error or UnavailableError(
                f"No node is left that can train: {(trial.note or '').rstrip('.')}.",
                remedy="Mend that; the same command goes on with what is finished.",
            )
            self._reason = self._reason or "no node is left that can train"

    def _finish(self, trial: _Trial, run: Run) -> None:
        self._end_attempt(trial)
        trial.run, trial.note = run, run.error
        trial.curve = list(run.curve) or trial.curve
        trial.state = "failed" if run.status == "failed" else "finished"
        self._guarded(drop_state, run.id)
        if self._guarded(self._recorder.accept, run) is False:
            trial.note = "another sweep has taken this trial over; its result counts"

    def _end_attempt(self, trial: _Trial) -> None:
        if trial.since is not None:
            trial.spent_s += self._clock() - trial.since
            trial.since = None
        if trial.token is not None:
            trial.ended_tokens.add(trial.token)
            trial.token = None

    def _recall(self, trial: _Trial) -> bool:
        """True if the history knows this run already."""
        run = self._guarded(self._recorder.finished_run, trial.spec.id)
        if run is None:
            return False
        trial.state, trial.run, trial.reused = "finished", run, True
        trial.curve = list(run.curve)
        return True

    def _guarded(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return work(*arguments)
        except Exception as error:
            self.error = self.error or error
            self._reason = self._reason or _short(error)
            return None

    def _num_slots(self) -> int:
        """The number of trials that may run at a time: of a few allowed, any good node takes one."""
        usable = self.slots.count - len(self._left_out.reasons)
        return min(usable, self.slots.max_parallel or usable)

    def _num_running(self) -> int:
        return sum(trial.state == "running" for trial in self._trials.values())

    def _seconds(self, trial: _Trial) -> float:
        return trial.spent_s + (0.0 if trial.since is None else self._clock() - trial.since)

    def _device_seconds(self) -> float:
        seconds = sum(self._seconds(trial) for trial in self._trials.values())
        return self._device_s_before + self.slots.devices_per_trial * seconds

    def _spent_s(self) -> float:
        return self._device_seconds() if self._is_device else self._clock() - self._began_at

    def _fits(self, trial: _Trial) -> bool:
        left_s = self.compute_budget.left_s(self._spent_s())
        if left_s is None:
            return True
        job = trial.spec.job
        known = [
            self._seconds(other) / max(1, len(other.curve))
            for other in self._trials.values()
            if other.state == "finished"
            and not other.reused
            and other.spec.job.target_hash == job.target_hash
            and other.spec.job.recipe.imgsz == job.recipe.imgsz
        ]
        if not known:
            return True
        needed_s = statistics.median(known) * job.recipe.epochs
        return left_s >= FITS_FACTOR * needed_s * (self.slots.devices_per_trial if self._is_device else 1.0)

    def _view_of(self, trial: _Trial) -> TrialView:
        if trial.last_view is not None and trial.last_view.state == trial.state != "running":
            return trial.last_view
        job = trial.spec.job
        trial.last_view = TrialView(
            id=trial.spec.id,
            target_hash=job.target_hash,
            target_name=job.target_name,
            start=job.start,
            recipe=job.recipe,
            state=trial.state,
            curve=tuple(trial.curve),
            seconds=self._seconds(trial),
            run=trial.run,
            reused=trial.reused,
            placed=trial.since is not None,
            node=trial.node,
            process=trial.process,
            note=trial.note,
        )
        return trial.last_view


def _short(error: Exception) -> str:
    kind = "the store or the storage failed" if isinstance(error, StorageError) else type(error).__name__
    return (
        f"{kind}: {error}" if isinstance(error, RecommenderError) else f"{kind} in the policy or the driver"
    )
