"""Follows a training in the terminal: its curve while it runs, what to do on Ctrl-C, its end."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from recommender.errors import UnavailableError
from recommender.home import subfolder
from recommender.tasks import Task, task_definition
from recommender.text import printable, sparkline

if TYPE_CHECKING:
    from recommender.records import Job, JobEvent
    from recommender.store import Store
    from tune_jobs.hosting import JobLocation

POLL_S, HOST_CHECK_S = 0.3, 3.0
SILENCE_S = 60.0  # of a cluster, after which nobody is kept waiting
MAX_STARTS = 4  # of a host that ends again while it has work
CURVE_WIDTH = 32  # characters


class CurveView:
    """The curve so far: drawn in place on a terminal, a line per epoch elsewhere."""

    def __init__(self, console: Console, epochs: int, task: Task = "detect") -> None:
        self._task = task_definition(task)
        self._console = console
        self._epochs = epochs
        self._curve: list[float] = []
        self._state = "queued"
        self._live: Live | None = Live(console=console, transient=False) if console.is_terminal else None

    def open(self) -> AbstractContextManager[Any]:
        """While this is open, what happens is drawn."""
        return self._live or nullcontext()

    def show(self, event: JobEvent) -> None:
        """Draw one event."""
        data = json.loads(event.data)
        if event.kind == "epoch":
            self._curve.append(float(data["score"]))
            line = self._line(data)
        else:
            words = data.get("message") or data.get("reason") or data.get("error") or ""
            self._state = data.get("status", self._state)
            line = Text(printable(f"{self._state}: {words}" if words else self._state))
        if self._live is None or event.kind == "note":
            self._console.print(line)
        else:
            self._live.update(line)

    def _line(self, point: dict[str, Any]) -> Text:
        best = max(self._curve)
        told = [one for one in self._task.details if one.name in point["details"]]
        beside = [
            f"{one.label} {point['details'][one.name]:.3f}" for one in told if one.has_curve or one == told[0]
        ]
        return Text.assemble(
            f"epoch {point['epoch']}/{self._epochs}  ",
            (sparkline(self._curve, CURVE_WIDTH), "cyan"),
            f"  {self._task.metric.label} {point['score']:.3f} (best {best:.3f})  {'  '.join(beside)}  ",
            f"{point['seconds']:.0f} s",
        )


def follow(store: Store, job: Job, place: JobLocation, view: CurveView) -> Job | None:
    """Watch until the training has ended; None when the user leaves it to itself."""
    seen, starts, checked_s, answered_s = 0, 0, float("-inf"), time.monotonic()
    from tune_jobs.hosting import ensure_host

    while True:
        try:
            with view.open():
                while True:
                    for event in store.jobs.events(job.id, after=seen):
                        view.show(event)
                        seen = event.seq
                    job = store.jobs.require(job.id)
                    if job.ended:
                        return job
                    if time.monotonic() - checked_s > HOST_CHECK_S:
                        starts += ensure_host(store, place, parent=os.getpid())
                        checked_s = time.monotonic()
                        answered_s = _answered(place, answered_s)
                        _give_up_after(starts)
                    time.sleep(POLL_S)
        except KeyboardInterrupt:
            if not _asked_to_go_on(store, job):
                return None


def _answered(place: JobLocation, last_s: float) -> float:
    """The moment at which the cluster last answered. Raises UnavailableError when that is too long ago."""
    try:
        place.require_answer()
    except UnavailableError as error:
        if time.monotonic() - last_s > SILENCE_S:
            raise UnavailableError(
                f"The cluster has not answered for {SILENCE_S:.0f} s. {error.message}",
                remedy="The training is kept: once the cluster is back, the same command goes on with it.",
            ) from error
        return last_s
    return time.monotonic()


def _give_up_after(starts: int) -> None:
    if starts <= MAX_STARTS:
        return
    log = subfolder("logs") / "launcher.log"
    last = log.read_text("utf-8", errors="replace").strip().splitlines()[-1:] if log.exists() else []
    raise UnavailableError(
        f"The launcher does not stay up: {printable(''.join(last))}.",
        remedy=f"Read {log}; the training is kept, and the same command goes on with it.",
    )


def _asked_to_go_on(store: Store, job: Job) -> bool:
    """Ask after a Ctrl-C whether to cancel, detach or go on; detach where nobody can answer."""
    where = f"`recommend runs cancel {job.id}` ends it"
    if sys.stdin.isatty() and sys.stderr.isatty():
        try:
            sys.stderr.write("\n[c]ancel the training, [d]etach and let it run, or Enter to go on watching? ")
            sys.stderr.flush()
            answer = sys.stdin.readline().strip().lower()
        except KeyboardInterrupt:
            answer = "d"
        if answer.startswith("c"):
            store.jobs.request_cancel(job.id)
            return True  # its end is watched
        if not answer.startswith("d"):
            return True
    sys.stderr.write(f"\nThe training goes on without this terminal; {where}, the same command watches it.\n")
    return False
