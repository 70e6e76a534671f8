"""`recommend --trials N | --budget 10m`: short trials between the forecast and the answer."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from recommender.cli.sweep import INTERRUPTED, sweep_display
from recommender.costs.estimates import about, speed_here
from recommender.costs.training_time import ROUGH, Speed
from recommender.forecast.reasons import trials_sentence
from recommender.pipeline import Study, conclude
from recommender.records import Recipe, Recommendation
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.requests import TrialsRequest
    from recommender.store import Store
    from recommender.tasks import Task


CLUSTER_START_S = 8.0  # of a local Ray


def after_trials(case: Study, asked: TrialsRequest, store: Store, *, began_at: float) -> Recommendation:
    """The answer once the trials that are worth their cost have run; each is in the history from then on.

    `began_at` is the moment from which a wall budget counts, on `time.monotonic`'s clock. A Ctrl-C ends the trials,
    not the answer: what is finished counts, and the same command goes on from there.
    """
    from tune_jobs.sweep.chosen_trials import run_chosen_trials
    from tune_jobs.sweep.compute_budget import ComputeBudget

    before = conclude(case)
    speed = _trial_speed(case.target.task, asked, store)
    if speed is not None:
        shortest_s = shortest_trial_s(case, speed)
        allowed_s = ComputeBudget.parse(asked.budget).left_s(0.0)
        if allowed_s is not None and shortest_s > allowed_s:
            return replace(before, verdict=_nothing_fits(asked.budget or "", shortest_s))
        sys.stderr.write(f"A trial takes {about(shortest_s)} or more{_basis(speed)}.\n")
    sys.stderr.write(
        f"Forecast: {before.ranking[0].start} first, best with {before.ranking[0].p_best:.0%}.\n"
    )
    _say_what_is_not_here(before)
    with sweep_display(asked.trials) as display:
        found = run_chosen_trials(
            asked,
            target=case.target,
            candidates=case.situations,
            history=case.history,
            scales=case.scales,
            store=store,
            display=display,
            began_at=began_at,
            recipe=_recipe(case),
        )
    after = conclude(case, trials=found.trials, runs=found.runs, tried=found.tried)
    if found.trials:
        sys.stderr.write(f"The trials took {time.monotonic() - began_at:.0f} s.\n")
    if found.result.was_interrupted:
        sys.stderr.write("Interrupted: what is finished is kept, the same command goes on.\n")
        raise typer.Exit(INTERRUPTED)
    ended = _end(found.result.reason, len(found.trials), asked.trials)
    return replace(
        after, verdict=trials_sentence(before.ranking, after.ranking, len(found.trials), ended=ended)
    )


def _end(reason: str | None, num_trials: int, asked: int | None) -> str | None:
    """The end of the trials in words; None where no other was worth its cost."""
    from tune_jobs.sweep.policy import NOT_WANTED

    if reason != NOT_WANTED:
        return reason
    return "as many as were asked for" if asked is not None and num_trials >= asked else None


def _say_what_is_not_here(before: Recommendation) -> None:
    """Name the better guess that would have to be fetched first, since trials are of what is here."""
    first = before.ranking[0]
    if first.available:
        return
    name = printable(first.start.checkpoint)
    sys.stderr.write(
        f"Trials are of weights on this machine; {name} is not: `recommend checkpoints fetch {name}` puts it in.\n"
    )


def _recipe(case: Study) -> Recipe:
    """The full training's recipe, which trials begin."""
    asked = case.request
    imgsz = case.situations[0].budget.imgsz  # each trial takes its own start's
    return Recipe(epochs=asked.epochs, imgsz=imgsz, class_map=tuple(sorted(asked.class_map.items())))


def shortest_trial_s(case: Study, speed: Speed) -> float:
    """Seconds of the cheapest trial, the start of a local cluster included."""
    from tune_jobs.sweep.chosen_trials import trial_epochs

    epochs = trial_epochs(case.request.epochs)
    here = (s for s in case.situations if s.checkpoint is None or s.checkpoint.available)
    return CLUSTER_START_S + min(speed.seconds(case.work(situation, epochs)) for situation in here)


def _nothing_fits(budget: str, shortest_s: float) -> str:
    minutes = math.ceil(shortest_s * 1.2 / 60)  # the estimate may be short by as much
    return (
        f"{budget} buys no trial: the shortest takes {about(shortest_s)}. This is the forecast alone; "
        f"--budget {minutes}m would buy one, and fewer --epochs or a smaller --imgsz make them shorter."
    )


def _basis(speed: Speed) -> str:
    on = f" on {speed.hardware}" if speed.num_runs else ""
    return f", {speed.basis}{on}"


def _trial_speed(task: Task, asked: TrialsRequest, store: Store) -> Speed | None:
    """The speed of trials where they run; `--gpu` names what trains in full, which may be another machine."""
    gpus = 0 if asked.gpus_per_trial == 0 else None
    return speed_here(store, task, "trial", gpus=gpus) or _rough_speed(asked.address, gpus)


def _rough_speed(address: str | None, gpus: int | None) -> Speed | None:
    """A guess for this machine's processor; None where a GPU or another machine would train."""
    import torch

    return None if address or (gpus is None and torch.cuda.is_available()) else ROUGH
