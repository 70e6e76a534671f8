"""The main command, `recommend --dataset PATH`: answer, and draw or print the answer."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recommender.cli.console import err, out, progress_bars
from recommender.cli.options import request_of
from recommender.errors import UsageError
from recommender.records import Recommendation
from recommender.requests import RecommendRequest, TrialsRequest
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.pipeline import Study


@dataclass(frozen=True, kw_only=True)
class ExtraOutputs:
    """Options beyond the recommendation itself: trials, the launch, and the form of the output."""

    trials: TrialsRequest | None
    address: str | None
    as_json: bool
    html: str | None
    launch: bool
    expand: bool


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
    from recommender.store import Store

    began_at = time.monotonic()
    request = request_of(RecommendRequest, context)
    named = ("address", "as_json", "html", "launch", "expand")
    extras = ExtraOutputs(trials=trials_of(context), **{name: context.params[name] for name in named})
    if extras.html:
        _check_writable(Path(extras.html))
    keep_freed_memory()
    with Store.open_default() as store:
        request = with_paths_registered(request, store)
        with progress_bars() as progress:
            case = study(request, store=store, progress=progress)
        if extras.trials is None:
            recommendation = conclude(case)
        else:
            from recommender.cli.trials import after_trials

            recommendation = after_trials(case, extras.trials, store, began_at=began_at)
        _show(recommendation, case, extras)
        if extras.launch:
            from recommender.cli.train import launch_first

            launch_first(store, recommendation, request, address=extras.address, as_json=extras.as_json)


def _check_writable(file: Path) -> None:
    """Refuse a report path before the work, not after it."""
    folder = file.absolute().parent
    if not folder.is_dir() or not os.access(file if file.exists() else folder, os.W_OK) or file.is_dir():
        raise UsageError(f"--html {file} cannot be written.", remedy="Name a file in a folder that exists.")


def _show(recommendation: Recommendation, case: Study, extras: ExtraOutputs) -> None:
    if extras.html:
        from recommender.report.answer_pictures import pictures_of
        from recommender.report.page import page

        html = page(recommendation, pictures_of(case, recommendation))
        Path(extras.html).write_text(html, encoding="utf-8")
        err().print(f"wrote {printable(extras.html)}", markup=False)
    if extras.as_json:
        from recommender.report.document import document

        sys.stdout.write(document(recommendation).model_dump_json(indent=2) + "\n")
    else:
        from recommender.report.rows import DEFAULT_ROWS
        from recommender.report.table import print_recommendation

        limit = DEFAULT_ROWS if case.request.top is None else None  # else the ranking was cut already
        print_recommendation(recommendation, out(), limit=limit, expand=extras.expand)
