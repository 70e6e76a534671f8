"""The trials of a sweep, the artefacts they need, and the limits on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from recommender.records import SplitCounts
from tune_jobs.artefact_transfer import Artefact
from tune_jobs.training import TrainingJob

STATE_SHARE = 0.05  # of a trial's time may go into its state: some 0.3 s a time for a nano model


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """One training and the artefacts it needs. `job` has the paths of the machine that planned it."""

    job: TrainingJob
    data: Artefact
    weights: Artefact | None
    num_images: SplitCounts | None = None  # of the whole data set; None: how long it takes is not estimated

    @property
    def id(self) -> str:
        """The run's id: the same question has the same one."""
        return self.job.run_id

    def on_node(
        self, *, data: Path, weights: Path | None, output: Path, device: str, num_threads: int
    ) -> TrainingJob:
        """The job with the paths and the device of the node that trains it."""
        return replace(
            self.job,
            data=data,
            weights=weights,
            output=output,
            device=device,
            num_threads=num_threads,
            resumable=True,
            state_share=STATE_SHARE,
        )


@dataclass(frozen=True, kw_only=True)
class TrialLimits:
    """Limits beyond which a trial is given up. Beside them stands the budget, which caps the whole sweep."""

    idle_s: float = (
        120.0  # no epoch and no work done by the process: frozen, deadlocked, waiting for a dead disk
    )
    first_epoch_s: float = 1800.0  # no first epoch, though it works
    slow_factor: float = 10.0  # a later epoch may take this many times the slowest before it …
    slow_floor_s: float = 300.0  # … and always as long as this
    memory_mb: float | None = None  # of one trial; None: only the node's memory is watched
    silent_actor_s: float = (
        90.0  # nothing heard from a trial's node: it is given up and the trial starts elsewhere
    )
    max_restarts: int = 2  # of one trial whose process or node died
