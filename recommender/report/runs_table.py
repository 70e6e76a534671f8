"""Runs and trainings as tables for people."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recommender.costs.estimates import memory_beside, time_beside
from recommender.records import Job, Run
from recommender.report.runs import repeat_command
from recommender.tasks import task_definition
from recommender.text import counted, printable, shown, sparkline

CURVE_WIDTH = 24  # characters
PIPED_WIDTH = 300  # characters, more than any row takes


def print_runs(
    runs: Sequence[Run],
    jobs: Sequence[Job],
    console: Console,
    *,
    ignored: frozenset[str] = frozenset(),
    chosen: bool = False,
) -> None:
    """Trainings under way and failed ones, then the runs; those in `ignored` are marked.

    `chosen` says that only some runs were asked for.
    """
    for job in jobs:
        print_training(job, console)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "when", "kind", "status"):
        table.add_column(column, no_wrap=True)
    for column in ("target", "start"):  # these alone give way on a narrow terminal: no number is cut off
        table.add_column(column, overflow="fold")
    estimated = any(run.expected_seconds is not None for run in runs)
    numbers = ("score", "epochs", "px", "rate", "frozen", "data", "seed", "seconds")
    for column in (*numbers, *(("estimated",) if estimated else ())):
        table.add_column(column, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            run.id[:12],
            run.created_at[:16].replace("T", " "),
            run.kind,
            "ignored" if run.id in ignored else run.status,
            Text(printable(run.target_name, limit=28)),
            Text(printable(run.start, limit=36)),
            shown(run.score, ".3f"),
            str(len(run.curve)),
            str(run.recipe.imgsz),
            shown(run.learning_rate, "g"),
            "" if run.frozen_up_to == "none" else run.frozen_up_to,
            f"{run.recipe.fraction:.0%}",
            str(run.recipe.seed),
            f"{run.seconds:.0f}",
            *((shown(run.expected_seconds, ".0f"),) if estimated else ()),
        )
    if not runs:
        none = "No such run: `recommend runs list` alone shows all there are."
        console.print(none if chosen else "No runs yet: `recommend train` and trials make them.")
        return
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)  # who reads a pipe wants no name in two lines
    console.print(table)


def print_training(job: Job, console: Console) -> None:
    """One training in a line."""
    point = job.metrics
    asked = json.loads(job.spec)
    start = asked.get("start", {})
    what = f"{start.get('checkpoint')}:{start.get('mode')} on {asked.get('dataset_name')}"
    label = task_definition(asked.get("task", "detect")).metric.label
    at = f"epoch {point.epoch}, {label} {point.score:.3f}" if point else "no epoch yet"
    result = f", checkpoint {job.checkpoint}, results in {job.artefacts}" if job.checkpoint else ""
    error = f": {job.error}" if job.error else ""
    console.print(
        Text(printable(f"training {job.id} ({what}) {job.status}, {at}{result}{error}", limit=1000)),
        soft_wrap=True,
    )


def print_run(run: Run, console: Console) -> None:
    """All of a run."""
    rows = {
        "run": run.id,
        "status": f"{run.status}{': ' + run.error if run.error else ''}",
        "target": f"{run.target_name} ({run.target_hash[:12]}…, {counted(run.num_train_images, 'train image')})",
        "start": f"{run.start} ({run.architecture})",
        "weights": run.weights_sha256 or "random",
        "recipe": ", ".join(f"{name} {value}" for name, value in _recipe(run)),
        "curve": f"{curve(run)}  best {shown(run.score, '.3f')} in epoch {run.best.epoch if run.best else '-'}",
        "start score": "unknown" if run.starting_score is None else f"{run.starting_score:.3f}",
        "cost": f"{time_beside(run)}; {memory_beside(run)}",
        "hardware": f"{run.environment.hardware}, {run.environment.device}, {run.environment.num_threads} threads",
        "versions": ", ".join(
            f"{name} {version}" for name, version in sorted(run.environment.versions.items())
        ),
        "notes": "; ".join(run.notes) or "none",
        "again": repeat_command(run),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(printable(value, limit=2000)))
    console.print(table)


def print_comparison(runs: Sequence[Run], console: Console) -> None:
    """Runs side by side, the best first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("start")
    table.add_column("target")
    table.add_column("curve", no_wrap=True)
    task = task_definition(runs[0].task)
    labels = [task.metric.label, *(metric.label for metric in task.details)]
    scores: list[float | None]
    for column in ("before", *labels, "best epoch", "seconds", "estimated"):
        table.add_column(column, justify="right")
    for run in sorted(runs, key=lambda run: -1.0 if run.score is None else run.score, reverse=True):
        best = run.best
        scores = [None] * len(labels)
        if best:
            scores = [best.score, *(best.details.get(metric.name) for metric in task.details)]
        table.add_row(
            run.id[:12],
            Text(printable(run.start)),
            Text(printable(run.target_name)),
            curve(run),
            shown(run.starting_score, ".3f"),
            *(shown(score, ".3f") for score in scores),
            str(best.epoch) if best else "",
            f"{run.seconds:.0f}",
            shown(run.expected_seconds, ".0f"),
        )
    console.print(table)


def curve(run: Run) -> str:
    """The curve of the score in one line of bars, on a scale of 0 to 1."""
    return sparkline([point.score for point in run.curve], CURVE_WIDTH, top=1.0)


def _recipe(run: Run) -> list[tuple[str, object]]:
    recipe = run.recipe
    return [
        ("epochs", recipe.epochs),
        ("imgsz", recipe.imgsz),
        ("batch", run.batch_used or recipe.batch),
        ("optimiser", run.optimizer_used or recipe.optimizer),
        ("learning rate", run.learning_rate or "default"),
        ("frozen up to", run.frozen_up_to),
        ("patience", recipe.patience or "none"),
        ("seed", recipe.seed),
    ]
