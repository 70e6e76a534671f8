"""The progress of a sweep as events of its job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from recommender.errors import ConflictError, StorageError
from tune_jobs.sweep.documents import SweepCost
from tune_jobs.sweep.policy import SweepView, TrialView

TELL_EVERY_S = 1.0
COST_EVERY_S = 5.0
log = logging.getLogger(__name__)


class EventWriter:
    """Turns what a sweep shows into events: each trial when it changes, the cost now and then."""

    def __init__(self, tell: Callable[[str, dict[str, object]], None]) -> None:
        self._tell = tell
        self._told: dict[str, TrialView] = {}
        self._at = 0.0
        self._cost_at = 0.0
        self._stage = ""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Write the progress of what comes before the trials: reading and profiling."""
        now = time.monotonic()
        if stage != self._stage or done == total or now - self._at > TELL_EVERY_S:
            self._stage, self._at = stage, now
            self._safely("progress", {"stage": stage, "done": done, "total": total})

    def show(self, view: SweepView, *, whole: bool = False) -> None:
        """Tell what is new since the last time."""
        now = time.monotonic()
        if not whole and now - self._at < TELL_EVERY_S:
            return
        self._at = now
        for trial in view.trials:
            before = self._told.get(trial.id)
            if before is None or before.state != trial.state or len(before.curve) != len(trial.curve):
                self._told[trial.id] = replace(trial, run=None)
                self._safely("trial", trial_event(trial))
        if not whole and now - self._cost_at < COST_EVERY_S:
            return
        self._cost_at = now
        cost = SweepCost(
            elapsed_s=round(view.elapsed_s, 1),
            spent_s=round(view.spent_s, 1),
            limit_s=view.limit_s,
            device_s=round(view.device_seconds, 1),
            device=view.device,
            waiting=len(view.of_state("waiting")),
            running=len(view.of_state("running")),
            ended=len(view.of_state("finished", "failed", "cut off")),
        )
        self._safely("cost", cost.model_dump())

    def _safely(self, kind: str, data: dict[str, object]) -> None:
        try:
            self._tell(kind, data)
        except (
            StorageError,
            ConflictError,
        ) as error:  # a picture of the work, not the work: that is kept by run
            log.warning("%s", error)


def trial_event(trial: TrialView) -> dict[str, object]:
    """One trial as its followers see it."""
    last = trial.curve[-1] if trial.curve else None
    return {
        "id": trial.id,
        "target": trial.target_name,
        "start": str(trial.start),
        "seed": trial.recipe.seed,
        "fraction": trial.recipe.fraction,
        "epochs": trial.recipe.epochs,
        "state": trial.state,
        "reused": trial.reused,
        "epoch": last.epoch if last else 0,
        "score": last.score if last else None,
        "best": trial.best_score,
        "note": trial.note,
    }
