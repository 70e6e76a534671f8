"""The order of trials and when they stop: decided by a pure policy, carried out by Ray Tune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from recommender.records import EpochMetrics, Recipe, Run, Start

TrialState = Literal["waiting", "running", "finished", "failed", "cut off"]


@dataclass(frozen=True, kw_only=True)
class TrialView:
    """The state of one trial."""

    id: str
    target_hash: str
    target_name: str
    start: Start
    recipe: Recipe
    state: TrialState
    curve: tuple[EpochMetrics, ...] = ()
    seconds: float = 0.0  # its slot was taken, restarts included
    run: Run | None = None  # once finished or failed
    reused: bool = False  # was in the history before
    placed: bool = True  # of one that runs: False while it waits for a free slot of the cluster
    node: str | None = None
    process: int | None = None  # of the training on that node
    note: str | None = None

    @property
    def best_score(self) -> float | None:
        """The best epoch so far."""
        return max((point.score for point in self.curve), default=None)


@dataclass(frozen=True, kw_only=True)
class SweepView:
    """The state of a whole sweep. Seconds of `spent_s` and `limit_s` are of the budget's kind."""

    trials: tuple[TrialView, ...]
    elapsed_s: float
    spent_s: float
    limit_s: float | None
    budget_kind: Literal["wall", "device"]
    device_seconds: float
    device: Literal["gpu", "cpu"]
    num_slots: int
    left_out: tuple[str, ...] = ()  # for each slot whose node cannot train, the reason

    def of_state(self, *states: TrialState) -> tuple[TrialView, ...]:
        """The trials in any of these states, in the order they were planned."""
        return tuple(trial for trial in self.trials if trial.state in states)


NOT_WANTED = "no further trial is wanted"  # the reason of an end that the policy chose
NOTHING_FITS = "no trial fits into what is left of the budget"


class Policy(Protocol):
    """Decides from what it is shown, and from nothing else: no clock, no cluster, no store.

    Called from one thread. It owns its state and must not keep the views' trials alive; an exception ends the
    sweep, keeping what is finished.
    """

    def next(self, view: SweepView) -> str | None:
        """The id of the waiting trial to start now; None starts nothing until a running one ends."""

    def judge(self, view: SweepView, trial: TrialView) -> str | None:
        """The reason to stop a trial after an epoch, or None to go on."""

    def done(self, view: SweepView) -> str | None:
        """The reason why no further trial is worth its cost, or None. Running ones are cut off."""


class RunAll:
    """Every trial to its end, in the order given."""

    def next(self, view: SweepView) -> str | None:
        """The first that waits."""
        return next((trial.id for trial in view.trials if trial.state == "waiting"), None)

    def judge(self, view: SweepView, trial: TrialView) -> str | None:
        """None: no trial is stopped."""
        return None

    def done(self, view: SweepView) -> str | None:
        """None: a sweep never ends early."""
        return None
