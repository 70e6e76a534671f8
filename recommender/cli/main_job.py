"""The main command, `recommend --dataset PATH`: answer, and draw or print the answer."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recommender.cli.console import err, out, progress_bars
from recommender.errors import UsageError
from recommender.records import Recommendation
from recommender.requests import RecommendRequest, TrialsRequest
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.pipeline import Study


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Options beyond the recommendation itself: trials, the launch, and the form of the output."""

    trials: int | None
    budget: str | None
    address: str | None
    gpus_per_trial: float | None
    as_json: bool
    html: str | None
    launch: bool
    expand: bool = False
    axes: tuple[str, ...] = ()

    def trials_request(self) -> TrialsRequest | None:
        """The trials asked for, or None; raises pydantic's ValidationError for a budget in no known form."""
        if self.trials is None and self.budget is None:
            if self.gpus_per_trial is not None:
                raise UsageError("--gpus-per-trial is for trials.", remedy="Add --trials N or --budget 10m.")
            if self.axes:
                raise UsageError("--axes is for trials.", remedy="Add --trials N or --budget 10m.")
            return None
        asked = {name: getattr(self, name) for name in TrialsRequest.model_fields}
        return TrialsRequest.model_validate(asked)


def main_job(request: RecommendRequest, extras: Extras) -> None:
    """Answer one request on stdout, progress on stderr."""
    from recommender.candidates import with_paths_registered
    from recommender.pipeline import conclude, study
    from recommender.store import Store

    began_at = time.monotonic()
    trials = extras.trials_request()

    if extras.html:
        _check_writable(Path(extras.html))
    with Store.open_default() as store:
        request = with_paths_registered(request, store)
        with progress_bars() as progress:
            case = study(request, store=store, progress=progress)
        if trials is None:
            recommendation = conclude(case)
        else:
            from recommender.cli.trials import after_trials

            recommendation = after_trials(case, trials, store, began_at=began_at)
        _show(recommendation, case, extras)
        if extras.launch:
            from recommender.cli.train import launch_first

            launch_first(store, recommendation, request, address=extras.address, as_json=extras.as_json)


def _check_writable(file: Path) -> None:
    """Refuse a report path before the work, not after it."""
    folder = file.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or file.is_dir():
        raise UsageError(f"--html {file} cannot be written.", remedy="Name a file in a folder that exists.")


def _show(recommendation: Recommendation, case: Study, extras: Extras) -> None:
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
