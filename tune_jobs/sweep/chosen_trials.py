"""`recommend --trials N | --budget 10m`: short trials of the starts that may change the answer, then ask again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from recommender.checkpoints.scratch import scratch_architecture
from recommender.forecast.kernels import PriorScales
from recommender.forecast.policy import (
    Race,
    are_whole,
    as_trial,
    current_forecast,
    keep_running,
    next_trial,
)
from recommender.forecast.rules import leaks
from recommender.forecast.situation import Observation, Situation
from recommender.recipe_axes import best_settings, neighbours
from recommender.records import Dataset, Recipe, Run, Start
from recommender.requests import Axis, TrialsRequest
from recommender.store import Store
from recommender.text import counted
from tune_jobs.artefact_transfer import pack_dataset
from tune_jobs.sweep.display import Display
from tune_jobs.sweep.planning import can_be_frozen, plan_trial
from tune_jobs.sweep.policy import SweepView, TrialView
from tune_jobs.sweep.run import SweepResult, SweepSettings, run_trials
from tune_jobs.sweep.trial_spec import TrialSpec

TRIAL_SHARE = 0.1  # of the full training's epochs: the bar for the recall phase is a tenth of brute force
MIN_TRIAL_EPOCHS = 10  # a third or half of ten epochs shows mostly noise: such trainings are tried whole
VARIED_STARTS = 3  # whose rates and depths may be varied; more would never be reached
STARTS_FIRST = 2  # trials of starts before the first one of another rate or depth, and then in turn


@dataclass(frozen=True, kw_only=True)
class ChosenTrials:
    """The result of the trials. Forecast again from `(*history, *trials)`."""

    trials: tuple[Observation, ...]
    runs: dict[Start, Run]  # the trial of each start that has one, for the answer's table
    tried: tuple[Run, ...]  # every finished trial, of other rates and depths too
    result: SweepResult


def run_chosen_trials(
    asked: TrialsRequest,
    *,
    target: Dataset,
    candidates: Sequence[Situation],
    history: Sequence[Observation],
    scales: PriorScales,
    store: Store,
    recipe: Recipe | None = None,
    display: Display | None = None,
    began_at: float | None = None,
) -> ChosenTrials:
    """Run the trials that are worth most for their cost, within the number and the budget asked for.

    `candidates` are the situations of the forecast at the full budget; those whose weights are not here cannot be
    tried, and those whose source holds the target's images would shine in any trial. A trial is the beginning of
    the full run: its schedule, optimiser, batch and augmentation, stopped
    early. Runs that the history knows cost nothing. Raises as `run_trials`.
    """
    began_at = time.monotonic() if began_at is None else began_at
    at_hand = [c for c in candidates if (c.checkpoint is None or c.checkpoint.available) and not leaks(c)]
    epochs = trial_epochs(at_hand[0].budget.epochs)
    data = pack_dataset(target)
    architecture = scratch_architecture((c.checkpoint for c in candidates if c.checkpoint), target.task)
    specs = [
        plan_trial(
            target,
            data,
            candidate.start,
            candidate.checkpoint,
            trial_recipe(candidate, epochs, recipe),
            architecture=architecture,
        )
        for candidate in at_hand
    ]
    race = Race(history=tuple(history), candidates=tuple(at_hand), trial_epochs=epochs, scales=scales)
    varied = _varied(specs, race, asked.axes) if asked.axes else ()
    policy = ForecastPolicy(race, specs, max_trials=asked.trials, varied=varied)
    settings = SweepSettings(
        address=asked.address,
        gpus_per_trial=asked.gpus_per_trial,
        budget=asked.budget,
    )
    result = run_trials(
        [*specs, *varied],
        store=store,
        settings=settings,
        policy=policy,
        display=display,
        began_at=began_at,
    )
    tried = tuple(run for trial in result.trials if (run := policy.run_of(trial)) is not None)
    runs = {run.start: run for run in best_settings(tried)}
    return ChosenTrials(trials=policy.observations(result.view), runs=runs, tried=tried, result=result)


def _varied(specs: Sequence[TrialSpec], race: Race, axes: Sequence[Axis]) -> tuple[TrialSpec, ...]:
    """Trials at other rates and depths of the starts that lead before any trial: one axis is changed at a time."""
    means_N = current_forecast(race).mean_N
    checkpoints = {one.start: one.checkpoint for one in race.candidates}
    leading = sorted(range(len(specs)), key=lambda i: -float(means_N[i]))[:VARIED_STARTS]
    return tuple(
        replace(spec, job=replace(spec.job, recipe=recipe))
        for spec in (specs[i] for i in leading)
        for recipe in neighbours(spec.job.recipe, spec.job.start.mode, spec.job.architecture, axes)
        if can_be_frozen(checkpoints[spec.job.start], spec.job.start, recipe)
    )


def trial_epochs(full_epochs: int) -> int:
    """Epochs of a trial of a full training of that many."""
    return min(full_epochs, max(MIN_TRIAL_EPOCHS, round(TRIAL_SHARE * full_epochs)))


def trial_recipe(candidate: Situation, epochs: int, full: Recipe | None = None) -> Recipe:
    """The beginning of the full run's recipe, at the image size that the candidate would be trained at."""
    whole = replace(
        full or Recipe(epochs=candidate.budget.epochs, imgsz=candidate.budget.imgsz),
        imgsz=candidate.budget.imgsz,
    )
    return replace(whole, epochs=epochs, schedule_epochs=whole.epochs if epochs < whole.epochs else None)


class ForecastPolicy:
    """The forecast's pure policy as a sweep's: translates what a sweep shows into a race."""

    def __init__(
        self,
        race: Race,
        specs: Sequence[TrialSpec],
        *,
        max_trials: int | None,
        varied: Sequence[TrialSpec] = (),
    ) -> None:
        self._race = race
        self._ids = {spec.job.start: spec.id for spec in specs}
        self._varied = frozenset(spec.id for spec in varied)
        self._situations = {candidate.start: candidate for candidate in race.candidates}
        self._max_trials = max_trials
        self._answered: tuple[object, str | None] = (None, None)

    def next(self, view: SweepView) -> str | None:
        """The most valuable trial per cost; asked often, computed when something changed."""
        state = tuple((trial.id, trial.state) for trial in view.trials)
        if self._answered[0] != state:
            self._answered = (state, self._choose(view))
        return self._answered[1]

    def judge(self, view: SweepView, trial: TrialView) -> str | None:
        """Successive halving with curve extrapolation; whole trainings go to their end."""
        if are_whole(self._race):
            return None
        rivals = [other.curve for other in view.trials if other.id != trial.id and other.curve]
        if keep_running(trial.curve, rivals, start=trial.start, epochs=trial.recipe.epochs):
            return None
        return f"not among the best third after {counted(len(trial.curve), 'epoch')}, and not catching up"

    def done(self, view: SweepView) -> str | None:
        """Running trials may end; none is cut off for lack of worth."""
        return None

    def observations(self, view: SweepView) -> tuple[Observation, ...]:
        """Observations of the full runs from the finished trials. One that the budget ended is in no history, so it
        shapes no answer either: the same question tomorrow must get the same one.
        """
        ended = [
            run for trial in view.trials if (run := self.run_of(trial)) is not None and run.best is not None
        ]
        seen = (Observation(situation=self._situations[run.start], run=run) for run in best_settings(ended))
        return tuple(as_trial(one, self._race) for one in seen)

    def run_of(self, trial: TrialView) -> Run | None:
        """The trial's run once it is in the history."""
        return trial.run if trial.state == "finished" else None

    def _choose(self, view: SweepView) -> str | None:
        begun = [t for t in view.trials if t.state in ("running", "failed", "cut off") or _is_ours(t)]
        if self._max_trials is not None and len(begun) >= self._max_trials:
            return None
        num_varied = sum(trial.id in self._varied for trial in begun)
        other = self._next_varied(view)
        if other is not None and len(begun) - num_varied >= STARTS_FIRST + num_varied:
            return other
        race = self._race_of(view)
        choice = next_trial(race) if race.candidates else None
        return other if choice is None else self._ids.get(choice.start)

    def _race_of(self, view: SweepView) -> Race:
        """The race as it stands. A start whose trial failed is out of it: it is not tried again, and has no result."""
        ended = self.observations(view)
        running, failed = (
            {trial.start for trial in view.of_state(*states) if trial.id not in self._varied}
            for states in (("running",), ("failed", "cut off"))
        )
        out = failed - {one.situation.start for one in ended}
        left = tuple(one for one in self._race.candidates if one.start not in out)
        return replace(self._race, candidates=left, trials=ended, running=tuple(sorted(running, key=str)))

    def _next_varied(self, view: SweepView) -> str | None:
        """The next trial of another rate or depth: of the start that leads by its trial so far, if any waits."""
        waiting = [trial for trial in view.of_state("waiting") if trial.id in self._varied]
        reached = {
            trial.start: run.best.score
            for trial in view.trials
            if trial.id not in self._varied
            and (run := self.run_of(trial)) is not None
            and run.best is not None
        }
        tried = [trial for trial in waiting if trial.start in reached]
        return max(tried, key=lambda trial: reached[trial.start]).id if tried else None


def _is_ours(trial: TrialView) -> bool:
    """True if it ended in this sweep; what was known before is free and does not count."""
    return trial.state == "finished" and not trial.reused
