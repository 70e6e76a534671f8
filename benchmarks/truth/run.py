"""Make the ground truth: `python -m benchmarks.truth.run`. Resumable: a run already in runs.jsonl is skipped.

A start whose weights are not there is left out. Two of these may run side by side on different --targets.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.training import job_on
from benchmarks.truth.entries import Entry
from benchmarks.truth.ledger import append_run, read_runs
from benchmarks.truth.plan import HELD_OUT, PARTS, plan
from benchmarks.truth.sources import Grid
from recommender.families.ultralytics.architectures import of_task
from recommender.records import Checkpoint, Run
from recommender.tasks import Task
from tune_jobs.training import TrainingJob, train

FOLDER = Path(__file__).parent


def main() -> None:
    """Run what is missing, in the plan's order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", type=Path, default=Path("../shared/weights"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "truth-work")
    parser.add_argument("--runs", type=Path, help="the ledger; one for each task")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--targets", nargs="*", help="only these")
    parser.add_argument("--limit", type=int, default=10**6, help="stop after so many runs")
    parser.add_argument("--list", action="store_true", help="print the plan and what is done")
    parser.add_argument("--part", choices=PARTS, help="only this part of the plan")
    options = parser.parse_args()
    entries = [
        entry for entry in plan(options.part) if not options.targets or entry.target in options.targets
    ]
    options.runs = options.runs or ledger_of(entries[0].task if entries else "detect", options.part)
    done = {key_of(run) for run in read_runs(options.runs)}
    missing = [entry for entry in entries if key(entry) not in done]
    print(f"{len(entries) - len(missing)} of {len(entries)} runs are there", flush=True)
    if options.list:
        for entry in missing:
            print(f"{entry.target:14} {entry.checkpoint:30} {entry.mode:8} {entry.recipe}")
        return
    grid = Grid(data=options.data, weights=options.weights, work=options.work, threads=options.threads)
    ready = [entry for entry in missing if grid.has_weights(entry.source)][: options.limit]
    for number, entry in enumerate(ready, 1):
        run = train(job_of(entry, grid))
        append_run(options.runs, run)
        print(f"{time.strftime('%H:%M:%S')} {number} {line_of(run)}", flush=True)
    for entry in missing:
        if entry not in ready:
            print(f"not done: {entry.target} {entry.checkpoint} {entry.mode}", flush=True)


def ledger_of(task: Task, part: str | None = None) -> Path:
    """The ledger of a task; a part that is held out has one of its own."""
    if part in HELD_OUT:
        return FOLDER / f"runs-{part}.jsonl"
    return FOLDER / ("runs.jsonl" if task == "detect" else f"runs-{task}.jsonl")


def line_of(run: Run) -> str:
    """One line for the log."""
    score = "-" if run.best is None else f"{run.best.score:.3f}"
    return (
        f"{run.target_name} {run.start} seed {run.recipe.seed} part {run.recipe.fraction:g} "
        f"{run.recipe.epochs} epochs: {score} {run.status} {run.seconds:.0f} s {run.error or ''}"
    )


def job_of(entry: Entry, grid: Grid) -> TrainingJob:
    """The job of an entry, the data set exported below the grid's folder of work."""
    checkpoint = None if entry.source is None else grid.checkpoint(entry.source)
    return job_on(
        grid.dataset(entry.target, entry.task),
        grid.work / "data" / entry.task / entry.target,
        checkpoint,
        entry.recipe,
        output=grid.work / "out",
        mode=entry.mode,
        architecture=_architecture(entry, checkpoint),
        num_threads=grid.threads,
    )


def _architecture(entry: Entry, checkpoint: Checkpoint | None) -> str:
    """Of a detector's network with the task's head; random weights and ImageNet's train the official classifier."""
    if entry.task == "classify" and entry.source in (None, "imagenet"):
        return "yolov8n-cls"
    found = of_task("yolo11n" if checkpoint is None else checkpoint.architecture, entry.task)
    assert found is not None
    return found


def key(entry: Entry) -> tuple[object, ...]:
    """The identity of an entry's run; weights are known by name here."""
    return (entry.target, entry.checkpoint, entry.mode, entry.recipe)


def key_of(run: Run) -> tuple[object, ...]:
    """The same of a finished run."""
    return (run.target_name, run.start.checkpoint, run.start.mode, run.recipe)


if __name__ == "__main__":
    main()
