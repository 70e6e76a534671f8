"""The main command, `recommend --dataset PATH`: answer, and draw or print the answer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recommender.cli.console import err, out, print_json, progress_bars
from recommender.cli.options import request_of
from recommender.errors import UsageError
from recommender.records import Recommendation
from recommender.requests import RecommendRequest, TrialsRequest
from recommender.store import open_store
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.pipeline import Study


def trials_of(context: typer.Context) -> TrialsRequest | None:
    """The trials asked for, or None. Raises UsageError for options of trials without them."""
    given = context.params
    if given["trials"] is not None or given["budget"] is not None:
        return request_of(TrialsRequest, context)
    for name in ("gpus_per_trial", "axes"):
        if given[name] is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is for trials.", remedy="Add --trials N or --budget 10m."
            )
    return None


def main_job(context: typer.Context) -> None:
    """Answer the request that the options make on stdout, progress on stderr."""
    from recommender.blas import keep_freed_memory
    from recommender.candidates.choosing import with_paths_registered
    from recommender.pipeline import conclude, study

    began_at = time.monotonic()
    request = request_of(RecommendRequest, context)
    trials, given = trials_of(context), context.params
    if given["html"]:
        _check_writable(Path(given["html"]))
    if trials is not None:
        from tune_jobs.cluster import require_cluster

        require_cluster(trials.address)
    keep_freed_memory()
    with open_store() as store:
        request = with_paths_registered(request, store)
        with progress_bars() as progress:
            case = study(request, store=store, progress=progress)
        if trials is None:
            recommendation = conclude(case)
        else:
            from recommender.cli.trials import after_trials

            recommendation = after_trials(case, trials, store, began_at=began_at)
        _show(recommendation, case, given)
        if given["launch"]:
            from recommender.cli.train import launch_first

            launch_first(store, recommendation, request, address=given["address"], as_json=given["as_json"])


def _check_writable(file: Path) -> None:
    """Refuse a report path before the work, not after it."""
    folder = file.absolute().parent
    if not folder.is_dir() or not os.access(file if file.exists() else folder, os.W_OK) or file.is_dir():
        raise UsageError(f"--html {file} cannot be written.", remedy="Name a file in a folder that exists.")


def _show(recommendation: Recommendation, case: Study, given: dict[str, Any]) -> None:
    """The answer as the options of the command line ask for it."""
    if given["html"]:
        from recommender.report.answer_pictures import pictures_of
        from recommender.report.page import page

        html = page(recommendation, pictures_of(case, recommendation))
        Path(given["html"]).write_text(html, encoding="utf-8")
        err().print(f"wrote {printable(given['html'])}")
    if given["as_json"]:
        from recommender.report.document import document

        print_json(document(recommendation))
    else:
        from recommender.report.rows import DEFAULT_ROWS
        from recommender.report.table import print_recommendation

        limit = DEFAULT_ROWS if case.request.top is None else None  # else the ranking was cut already
        print_recommendation(recommendation, out(), limit=limit, expand=given["expand"])
