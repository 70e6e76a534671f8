"""The watchdog over one training process: hanging, or eating the memory."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from tune_jobs.sweep.trial_spec import TrialLimits
from tune_jobs.sweep.unfinished_runs import TIMED_OUT
from tune_jobs.training.process import MODULE

BUSY_CPU_S = 0.2  # less work than this between two looks at least a second apart counts as none
RAY_KILLS_AT = (
    0.95  # share of the node's memory; Ray's own monitor would kill the actor and break the whole fit
)
MARGIN = 0.03
CGROUP = Path("/sys/fs/cgroup")


@dataclass
class Watchdog:
    """Judges one training from what its process uses. Times are seconds of any one clock."""

    limits: TrialLimits
    since: float  # when the training began
    last_epoch: float | None = None
    slowest_epoch_s: float = 0.0
    last_busy: float | None = None
    cpu_s: float = 0.0

    def epoch_ended(self, now: float) -> None:
        """An epoch ended: the clock of the next starts."""
        if self.last_epoch is not None:
            self.slowest_epoch_s = max(self.slowest_epoch_s, now - self.last_epoch)
        self.last_epoch = self.last_busy = now

    def paused(self, seconds: float) -> None:
        """The training waited for an answer that long: not its fault."""
        self.last_epoch = None if self.last_epoch is None else self.last_epoch + seconds
        self.last_busy = None if self.last_busy is None else self.last_busy + seconds

    def hangs(self, now: float, cpu_s: float) -> str | None:
        """The reason why it counts as hung, or None."""
        # Less than before is work too: processes that loaded data ended, and their time with them.
        if self.last_busy is None or abs(cpu_s - self.cpu_s) >= BUSY_CPU_S:
            self.last_busy, self.cpu_s = now, cpu_s
        idle_s = now - self.last_busy
        if idle_s > self.limits.idle_s:
            return f"{TIMED_OUT}: no work done for {idle_s:.0f} s"
        silent_s = now - (self.since if self.last_epoch is None else self.last_epoch)
        if silent_s > self.patience_s:
            return f"{TIMED_OUT}: no epoch ended for {silent_s:.0f} s, {self.patience_s:.0f} s are allowed"
        return None

    @property
    def patience_s(self) -> float:
        """The seconds that the epoch under way may take."""
        if self.last_epoch is None:
            return self.limits.first_epoch_s
        if not self.slowest_epoch_s:
            return max(self.limits.first_epoch_s, self.limits.slow_floor_s)
        return max(self.limits.slow_floor_s, self.limits.slow_factor * self.slowest_epoch_s)

    def overfills(self, pid: int, rss_bytes: int) -> str | None:
        """The reason why it uses too much memory, or None. On a full node the largest training has to go."""
        used_mb = rss_bytes / 2**20
        if self.limits.memory_mb is not None and used_mb > self.limits.memory_mb:
            return (
                f"out of memory: it used {used_mb:.0f} MB, {self.limits.memory_mb:.0f} MB are allowed a trial"
            )
        used, total = node_memory()
        if used > full_at() * total and pid == largest_training():
            return (
                f"out of memory: its node used {used / 2**20:.0f} of {total / 2**20:.0f} MB, "
                f"and this trial was the largest with {used_mb:.0f} MB"
            )
        return None


def full_at() -> float:
    """The share of a node's memory above which a training is ended, just before Ray would act."""
    try:
        threshold = float(os.environ.get("RAY_memory_usage_threshold", RAY_KILLS_AT))  # noqa: SIM112
    except ValueError:
        threshold = RAY_KILLS_AT
    return max(0.05, threshold - MARGIN)


def node_memory() -> tuple[int, int]:
    """Bytes used and in all, of this container if it is limited, else of the machine."""
    machine = psutil.virtual_memory()
    with contextlib.suppress(OSError, ValueError, IndexError):
        limit = int((CGROUP / "memory.max").read_text())  # "max" where there is none
        if limit < machine.total:
            current = int((CGROUP / "memory.current").read_text())
            lines = (CGROUP / "memory.stat").read_text().splitlines()
            cache = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
            return current - cache, limit
    return machine.total - machine.available, machine.total


def largest_training() -> int | None:
    """The process id of the training on this node that holds most memory."""
    sizes: dict[int, int] = {}
    for process in psutil.process_iter(["pid", "cmdline", "memory_info"]):
        command, memory = process.info["cmdline"] or (), process.info["memory_info"]
        if MODULE in command and memory is not None:
            sizes[process.info["pid"]] = memory.rss
    return max(sizes, key=sizes.__getitem__, default=None)
