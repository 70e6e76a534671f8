"""`recommend runs`: what was trained, what is being trained, and how runs compare."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from recommender.errors import NotFoundError

if TYPE_CHECKING:
    from recommender.records import Run
    from recommender.store import Store

app = typer.Typer(help="Runs and trainings: list, show, compare, cancel.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command("list")
def list_runs(
    kind: Annotated[str | None, typer.Option(help="trial or full.")] = None,
    checkpoint: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs from this start.")] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Runs of the history, newest first, and the trainings that have not ended."""
    from recommender.report.runs import run_summary, training_document
    from recommender.report.runs_table import print_runs
    from recommender.store import Store

    with Store.open_default() as store:
        runs = store.runs.list(kind=kind, checkpoint=checkpoint)[::-1][:limit]
        jobs = store.jobs.list(kind="training", statuses=("queued", "running"))
    if as_json:
        document = {
            "runs": [run_summary(run).model_dump() for run in runs],
            "trainings": [training_document(job).model_dump() for job in jobs],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    from recommender.cli.console import out

    print_runs(runs, jobs, out())


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="Of a run or a training; its first characters will do.")],
    as_json: AsJson = False,
) -> None:
    """All that is known of one run, and the command that repeats it."""
    from recommender.report.runs import run_detail, training_document
    from recommender.report.runs_table import print_run, print_training
    from recommender.store import Store

    with Store.open_default() as store:
        run, job = _find_run(store, id), store.jobs.get(id)
        if run is None and job is not None and job.run_id is not None:
            run = store.runs.get(job.run_id)
    if run is None and job is None:
        raise NotFoundError(f"There is no run {id!a}.", remedy="See `recommend runs list`.")
    if as_json:
        documents = (
            [run_detail(run)] if run is not None else [training_document(job)] if job is not None else []
        )
        sys.stdout.write(documents[0].model_dump_json(indent=2) + "\n")
        return
    from recommender.cli.console import out

    if job is not None:
        print_training(job, out())
    if run is not None:
        print_run(run, out())


@app.command()
def compare(
    ids: Annotated[list[str], typer.Argument(metavar="ID ID …", help="Two runs or more.")],
    as_json: AsJson = False,
) -> None:
    """Runs side by side: curves, scores, cost."""
    from recommender.report.runs import run_detail
    from recommender.report.runs_table import print_comparison
    from recommender.store import Store

    with Store.open_default() as store:
        found = [(id, _find_run(store, id)) for id in ids]
    runs = [run for _, run in found if run is not None]
    missing = [id for id, run in found if run is None]
    if missing:
        raise NotFoundError(
            f"There is no run {', '.join(map(ascii, missing))}.", remedy="See `recommend runs list`."
        )
    if as_json:
        document = {"runs": [run_detail(run).model_dump() for run in runs]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    from recommender.cli.console import out

    print_comparison(runs, out())


@app.command()
def cancel(id: Annotated[str, typer.Argument(help="Of a training that has not ended.")]) -> None:
    """End a training."""
    from recommender.store import Store

    with Store.open_default() as store:
        job = store.jobs.request_cancel(id)
    typer.echo(f"training {job.id}: {'cancel requested' if not job.ended else job.status}")


def _find_run(store: Store, id: str) -> Run | None:
    """The run of this id, or the only one that begins so."""
    known = store.runs.get(id)
    if known is not None or len(id) < 4:
        return known
    close = [run for run in store.runs.list() if run.id.startswith(id)]
    return close[0] if len(close) == 1 else None
