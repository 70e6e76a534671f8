"""Train runs of the ground truth on another machine, one with a GPU and nothing of the data.

```
python -m benchmarks.truth.elsewhere pack FOLDER jobs.jsonl --part surface    # here: what its plan lacks
python -m benchmarks.truth.elsewhere train FOLDER jobs.jsonl --runs runs.jsonl --processes 12    # there
python -m benchmarks.truth.elsewhere collect runs.jsonl    # here: into the ledgers
```

There, torch, ultralytics, pydantic, safetensors and this repository are enough. A run that did not end in time is lost
and packed again by the next `pack`; `train` again does what has not succeeded. It ends with status 1 where a run could
not begin or a process died, which ends all the others.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from benchmarks.truth.ledger import append_run, read_runs
from recommender.store.records_json import decode, encode
from tune_jobs.training import TrainingJob


def main() -> None:
    """Pack, train or collect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("jobs", type=Path, help="the file that lists them")
    packing.add_argument("--part", action="append", required=True, help="of benchmarks.truth.plan")
    packing.add_argument("--targets", nargs="*", help="only these")
    packing.add_argument(
        "--again", type=int, default=0, help="so many runs that are there already, to compare"
    )
    packing.add_argument("--shared", type=Path, default=Path("../shared"))
    packing.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "truth-work")
    packing.set_defaults(run=pack)
    training = commands.add_parser("train")
    training.add_argument("folder", type=Path)
    training.add_argument("jobs", type=Path, help="the file that lists them")
    training.add_argument("--runs", type=Path, required=True, help="the file that gets the records")
    training.add_argument("--device", default="cuda:0")
    training.add_argument("--processes", type=int, default=1)
    training.add_argument("--minutes", type=float, default=60.0)
    training.set_defaults(run=train_all)
    collecting = commands.add_parser("collect")
    collecting.add_argument("runs", type=Path, nargs="+")
    collecting.add_argument("--part", help="where its ledger is its own")
    collecting.set_defaults(run=collect)
    options = parser.parse_args()
    options.run(options)


def pack(options: argparse.Namespace) -> None:
    """Write what is missing of the parts as jobs, with their data and weights."""
    from benchmarks.truth.plan import plan
    from benchmarks.truth.run import job_of, key, key_of, ledger_of
    from benchmarks.truth.sources import Grid

    folder: Path = options.folder
    grid = Grid(data=options.shared / "data", weights=options.shared / "weights", work=options.work)
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    jobs = []
    for part in options.part:
        entries = [
            one
            for one in plan(part)
            if grid.has_weights(one.source) and one.target in (options.targets or [one.target])
        ]
        done = {key_of(run) for run in read_runs(ledger_of(entries[0].task, part))} if entries else set()
        repeated = [entry for entry in entries if key(entry) in done][: options.again]
        for entry in [*repeated, *(entry for entry in entries if key(entry) not in done)]:
            job = job_of(entry, grid)
            data = folder / "data" / entry.task / entry.target
            if not data.exists():
                shutil.copytree(job.data, data)
            if job.weights is not None:
                shutil.copyfile(job.weights, folder / "weights" / job.weights.name)
            jobs.append(job)
    jobs.sort(key=_cost, reverse=True)  # the longest first, so that all end together
    options.jobs.write_text("".join(encode(job) + "\n" for job in jobs), encoding="utf-8")
    print(f"{len(jobs)} runs packed")


def _cost(job: TrainingJob) -> float:
    return job.recipe.epochs * job.recipe.fraction * job.recipe.imgsz**2


def train_all(options: argparse.Namespace) -> None:
    """Train the packed jobs side by side in their order; stop all when the minutes are over."""
    os.environ["OMP_NUM_THREADS"] = "1"
    deadline_s = time.time() + 60 * options.minutes
    lines = options.jobs.read_text("utf-8").splitlines()
    done = succeeded(options.runs)
    jobs = [_there(decode(TrainingJob, line), options) for line in lines]
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(options.processes, mp_context=context)
    asked = {
        pool.submit(_train_one, job, options.runs, deadline_s): f"{job.target_name} {job.start}"
        for job in jobs
        if job.run_id not in done
    }
    wait(asked, timeout=max(deadline_s - time.time(), 0.0))
    broken = exceptions_in_words(asked)  # before the others are ended, whose futures then break too
    for process in multiprocessing.active_children():
        process.kill()
    print("\n".join([*broken, f"{len(succeeded(options.runs))} runs are there"]), flush=True)
    os._exit(1 if broken else 0)


def succeeded(runs: Path) -> set[str]:
    """The ids of the runs of a file that succeeded: the others are to be tried again."""
    return {run.id for run in read_runs(runs) if run.status == "succeeded"}


def exceptions_in_words(asked: Mapping[Future[None], str]) -> list[str]:
    """One line for each call that raised, or whose process died, by its name; none for those not done yet."""
    done = {future: name for future, name in asked.items() if future.done() and not future.cancelled()}
    raised = [(name, future.exception()) for future, name in done.items()]
    return [f"{name}: {type(error).__name__}: {error}" for name, error in raised if error is not None]


def _there(job: TrainingJob, options: argparse.Namespace) -> TrainingJob:
    folder = options.folder
    weights = None if job.weights is None else folder / "weights" / job.weights.name
    on_gpu = options.device != "cpu"
    return replace(
        job,
        data=(folder / "data" / job.task / job.target_name).absolute(),
        weights=weights,
        output=Path(tempfile.gettempdir()) / "truth-elsewhere",
        device=options.device,
        num_workers=1 if on_gpu else 0,
    )


def _train_one(job: TrainingJob, runs: Path, deadline_s: float) -> None:
    if time.time() > deadline_s:
        return
    from tune_jobs.training import train

    began_s = time.time()
    run = train(job)
    append_run(runs, run)
    recipe = job.recipe
    images = run.num_train_images * recipe.epochs
    seconds = time.time() - began_s
    score = "-" if run.best is None else f"{run.best.score:.3f}"
    print(
        f"{deadline_s - time.time():.0f} s left: {job.target_name} {job.start} {recipe.imgsz} px seed {recipe.seed}: "
        f"{score} {run.status} {seconds:.0f} s {images / seconds:.0f} images/s {run.error or ''}",
        flush=True,
    )


def collect(options: argparse.Namespace) -> None:
    """Append records to the ledgers of their tasks.

    Repeated runs are compared and not kept, nor are those whose batch was halved for memory: another recipe.
    """
    from benchmarks.truth.run import key_of, ledger_of, line_of

    for file in options.runs:
        for run in read_runs(file):
            ledger = ledger_of(run.task, options.part)
            known = {key_of(one): one for one in read_runs(ledger)}
            before = known.get(key_of(run))
            if run.status != "succeeded":
                print(line_of(run))
            elif run.batch_used not in (None, run.recipe.batch):
                print(f"{line_of(run)}, not kept: batch {run.batch_used} instead of {run.recipe.batch}")
            elif before is None:
                append_run(ledger, run)
            elif before.best is not None:
                print(f"{line_of(run)}, before {before.best.score:.3f} on {before.environment.device}")


if __name__ == "__main__":
    main()
