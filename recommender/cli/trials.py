"""`recommend --trials N | --budget 10m`: short trials between the forecast and the answer."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from recommender.cli.sweep import INTERRUPTED, sweep_display
from recommender.forecast.reasons import verdict
from recommender.pipeline import Case, conclude
from recommender.records import Recommendation

if TYPE_CHECKING:
    from recommender.requests import TrialsRequest
    from recommender.store import Store


def after_trials(case: Case, asked: TrialsRequest, store: Store, *, began_at: float) -> Recommendation:
    """The answer once the trials that are worth their cost have run; each is in the history from then on.

    `began_at` is the moment from which a wall budget counts, on `time.monotonic`'s clock. A Ctrl-C ends the trials,
    not the answer: what is finished counts, and the same command goes on from there.
    """
    from tune_jobs.sweep.certainty import buy_certainty
    from tune_jobs.sweep.policy import NOT_WANTED

    before = conclude(case)
    sys.stderr.write(
        f"Forecast: {before.ranking[0].start} first, best with {before.ranking[0].p_best:.0%}. Trials:\n"
    )
    with sweep_display() as display:
        bought = buy_certainty(
            asked,
            target=case.target,
            candidates=case.situations,
            history=case.history,
            spread=case.spread,
            store=store,
            display=display,
            began_at=began_at,
        )
    after = conclude(case, trials=bought.trials, runs=bought.runs)
    ended = bought.result.reason
    if ended == NOT_WANTED:
        used_up = asked.trials is not None and len(bought.trials) >= asked.trials
        ended = "as many as were asked for" if used_up else None
    said = verdict(before.ranking, after.ranking, len(bought.trials), ended=ended)
    if bought.trials:
        sys.stderr.write(f"The trials took {time.monotonic() - began_at:.0f} s.\n")
    if bought.result.was_interrupted:
        sys.stderr.write("Interrupted: what is finished is kept, the same command goes on.\n")
        raise typer.Exit(INTERRUPTED)
    return replace(after, verdict=said)
