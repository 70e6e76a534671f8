"""`recommend runs`: what was trained, what is being trained, and how runs compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recommender.cli.console import out, print_json
from recommender.cli.options import AsJson, TaskOfRuns, task_of
from recommender.errors import NotFoundError, UsageError
from recommender.store import open_store
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.records import Run
    from recommender.store import Store
    from recommender.tasks import Task

app = typer.Typer(
    help="Runs and trainings: list, show, compare, ignore, remove, cancel.", no_args_is_help=True
)


@app.command("list")
def list_runs(
    kind: Annotated[Literal["trial", "full"] | None, typer.Option(help="trial or full.")] = None,
    checkpoint: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs from this start.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", metavar="PATH|NAME|HASH", help="Only runs on this data set."),
    ] = None,
    task: TaskOfRuns = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Runs of the history, newest first, and the trainings under way or failed."""
    from recommender.report.runs import run_summary, training_document
    from recommender.report.runs_table import print_runs

    with open_store() as store:
        runs = store.runs.list(kind=kind, checkpoint=checkpoint)[::-1]
        if dataset is not None:
            runs = _on(runs, dataset, task_of(task))
        elif task is not None:
            runs = tuple(run for run in runs if run.task == task_of(task))
        runs = runs[:limit]
        ignored = store.runs.ignored()
        jobs = store.jobs.list(kind="training", statuses=("queued", "running", "failed"))
    if as_json:
        document = {
            "runs": [run_summary(run).model_dump() | {"ignored": run.id in ignored} for run in runs],
            "trainings": [training_document(job).model_dump() for job in jobs],
        }
        print_json(document)
        return
    print_runs(runs, jobs, out(), ignored=ignored, chosen=bool(kind or checkpoint or dataset or task))


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="Of a run or a training; its first characters will do.")],
    as_json: AsJson = False,
) -> None:
    """All that is known of one run, and the command that repeats it."""
    from recommender.report.runs import run_detail, training_document
    from recommender.report.runs_table import print_run, print_training

    with open_store() as store:
        run, job = _find_run(store, id), store.jobs.get(id)
        if run is None and job is not None and job.run_id is not None:
            run = store.runs.get(job.run_id)
    if run is None and job is None:
        raise NotFoundError(f"There is no run {id!a}.", remedy="See `recommend runs list`.")
    if as_json:
        documents = (
            [run_detail(run)] if run is not None else [training_document(job)] if job is not None else []
        )
        print_json(documents[0])
        return
    if job is not None:
        print_training(job, out())
    if run is not None:
        print_run(run, out())


@app.command()
def compare(
    ids: Annotated[list[str], typer.Argument(metavar="ID ID …", help="Two runs or more.")],
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Even if they differ in data set, epochs or image size.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Runs side by side: curves, scores, cost."""
    from recommender.report.runs import differences, run_detail
    from recommender.report.runs_table import print_comparison

    with open_store() as store:
        runs = _recorded(store, ids)
    differing = differences(runs)
    if differing and not mixed:
        raise UsageError(
            f"These runs differ in {', '.join(differing)}, so their scores do not compare the starts.",
            remedy="Choose runs that share it, or say --mixed.",
        )
    if as_json:
        document = {"runs": [run_detail(run).model_dump() for run in runs]}
        print_json(document)
        return
    print_comparison(runs, out())


@app.command()
def cancel(id: Annotated[str, typer.Argument(help="Of a training that has not ended.")]) -> None:
    """End a training."""
    with open_store() as store:
        job = store.jobs.request_cancel(id)
    typer.echo(f"training {job.id}: {'cancel requested' if not job.ended else job.status}")


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID …", help="Of recorded runs; first characters do.")],
) -> None:
    """Forget recorded runs for good: the forecast no longer learns from them, and the same may be trained anew."""
    with open_store() as store:
        for run in _recorded(store, ids):
            store.runs.remove(run.id)
            typer.echo(f"forgotten: {run.id[:12]} {run.start} on {printable(run.target_name)}")


@app.command()
def ignore(
    ids: Annotated[list[str], typer.Argument(metavar="ID …", help="Of recorded runs; first characters do.")],
    undo: Annotated[bool, typer.Option("--undo", help="Let the forecast learn from them again.")] = False,
) -> None:
    """Keep runs, but let the forecast learn nothing from them."""
    with open_store() as store:
        for run in _recorded(store, ids):
            store.runs.ignore(run.id, ignored=not undo)
            what = "counts again" if undo else "ignored"
            typer.echo(f"{what}: {run.id[:12]} {run.start} on {printable(run.target_name)}")


def _recorded(store: Store, ids: list[str]) -> list[Run]:
    """The runs of these ids, all or none. Raises NotFoundError."""
    found = [(id, _find_run(store, id)) for id in ids]
    missing = [id for id, run in found if run is None]
    if missing:
        raise NotFoundError(
            f"There is no run {', '.join(map(ascii, missing))}.", remedy="See `recommend runs list`."
        )
    return [run for _, run in found if run is not None]


def _on(runs: Sequence[Run], dataset: str, task: Task | None) -> tuple[Run, ...]:
    """The runs on a data set that is named by its path, its name or the beginning of its hash; of one task, if any."""
    if Path(dataset).exists():
        from recommender.datasets import open_dataset

        dataset = open_dataset(dataset, task=task).content_hash
    return tuple(
        run
        for run in runs
        if task in (None, run.task)
        and (run.target_name == dataset or (len(dataset) >= 4 and run.target_hash.startswith(dataset)))
    )


def _find_run(store: Store, id: str) -> Run | None:
    """The run of this id, or the only one that begins so."""
    known = store.runs.get(id)
    if known is not None or len(id) < 4:
        return known
    close = [run for run in store.runs.list() if run.id.startswith(id)]
    return close[0] if len(close) == 1 else None
