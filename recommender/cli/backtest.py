"""`recommend backtest`: how good the recommendations are on the history, against baselines."""

from __future__ import annotations

from typing import Annotated

import typer

from recommender.cli.console import out, print_json, progress_bars
from recommender.cli.options import AsJson, TaskOfHistory, task_of
from recommender.store import open_store


def backtest(
    known_targets: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Let each forecast know only N other data sets; else all."),
    ] = None,
    task: TaskOfHistory = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Hide every data set of the history in turn, forecast it from the others, and compare with baselines."""
    from recommender.blas import keep_freed_memory
    from recommender.forecast.backtest import backtest as run
    from recommender.forecast.history import known_history
    from recommender.report.backtest import backtest_document, print_backtest

    keep_freed_memory()
    with open_store() as store, progress_bars() as progress:
        result = run(
            known_history(store, task=task_of(task) or "detect"),
            seed=seed,
            known_targets=known_targets,
            progress=progress,
        )
    if as_json:
        print_json(backtest_document(result))
    else:
        print_backtest(result, out())
