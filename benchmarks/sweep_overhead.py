"""The costs of a sweep beside its trainings.

    python -m benchmarks.sweep_overhead --data ../shared/data/mask_wearing

In one run, taking turns: N trials through `run_trials` on a local Ray, with packing the data, starting and stopping
Ray and everything recorded; the same trainings back to back in plain processes, as many at a time, each process
importing once and training its share; and the same with a fresh process for every training. The bar is 1.15 times
the wall time of the second. Writes benchmarks/results/sweep_overhead.json.

Where it may make a control group it also counts the processor time of all processes of each way: on a machine that
others use, that ratio holds while the wall ratio is chance.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import arguments_of, home_at, stamp
from recommender.datasets import open_dataset
from recommender.records import Recipe, Start
from recommender.store import Store
from recommender.store.records_json import decode, encode
from tune_jobs.artefact_transfer import deliver, pack_dataset
from tune_jobs.sweep.planning import plan_trial
from tune_jobs.sweep.run import SweepSettings, run_trials
from tune_jobs.sweep.trial_spec import TrialSpec
from tune_jobs.training import TrainingJob, train

RESULT = Path("benchmarks/results/sweep_overhead.json")
BAR = 1.15
CPU_ACCOUNTS = Path("/sys/fs/cgroup/cpuacct")  # of the older control groups
GROUPS = CPU_ACCOUNTS if CPU_ACCOUNTS.is_dir() else Path("/sys/fs/cgroup")


def main() -> None:
    """Measure, print and write."""
    parser = arguments_of(__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", default="plain,sweep,fresh_processes", help="comma between them")
    parser.add_argument("--plain", type=Path, nargs="+", help="only train these jobs, one after the other")
    asked = parser.parse_args()
    if asked.plain:
        for file in asked.plain:
            run = train(decode(TrainingJob, file.read_text("ascii")))
            print(run.status, flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="sweep-overhead-") as folder:
        measured = measure(asked, Path(folder))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"machine": stamp(), **measured}, indent=1) + "\n", "utf-8")
    print(RESULT.read_text("utf-8"))


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Every way in turn, `rounds` times; the quickest round of each counts, since the machine is shared."""
    specs = plan(asked)
    ways: dict[str, Callable[[Path], None]] = {
        "plain": lambda here: run_plain(specs, asked.parallel, here, fresh=False),
        "sweep": lambda here: run_sweep(specs, asked.parallel, here),
        "fresh_processes": lambda here: run_plain(specs, asked.parallel, here, fresh=True),
    }
    ways = {name: ways[name] for name in asked.ways.split(",")}
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(asked.rounds):
        for name, way in ways.items():
            here = folder / f"{name}-{number}"
            here.mkdir()
            with home_at(here / "home"):
                seen[name].append(clocked(lambda way=way, here=here: way(here)))  # type: ignore[misc]
            print(name, seen[name][-1], flush=True)
    return {
        "trials": asked.trials,
        "parallel": asked.parallel,
        "recipe": f"YOLO11n from random weights, {asked.epochs} epochs at {asked.imgsz} px, {asked.data.name}",
        "rounds": seen,
        **{
            f"{kind}_ratio_to_{other}": ratio(seen, other, kind)
            for kind in ("wall", "cpu")
            for other in ways
            if other != "sweep"
        },
        "bar": BAR,
    }


def ratio(seen: dict[str, list[dict[str, float]]], other: str, kind: str) -> float | None:
    """Of the sweep's quickest round to the other's; None where it was not measured."""
    quickest = [
        min((one[f"{kind}_s"] for one in seen[way] if f"{kind}_s" in one), default=None)
        for way in ("sweep", other)
    ]
    return None if quickest[0] is None or not quickest[1] else round(quickest[0] / quickest[1], 3)


def plan(asked: argparse.Namespace) -> list[TrialSpec]:
    """The trainings: one start, a seed each."""
    target = open_dataset(asked.data)
    data = pack_dataset(target)
    recipe = Recipe(epochs=asked.epochs, imgsz=asked.imgsz)
    start = Start(checkpoint="scratch", mode="scratch")
    return [
        plan_trial(target, data, start, None, replace(recipe, seed=seed), architecture="yolo11n")
        for seed in range(asked.trials)
    ]


def run_sweep(specs: Sequence[TrialSpec], parallel: int, folder: Path) -> None:
    """Through Ray Tune, from nothing to nothing."""
    with Store(folder / "store.sqlite3") as store:
        settings = SweepSettings(num_cpus=parallel, cpus_per_trial=1)
        result = run_trials(specs, store=store, settings=settings)
    if len(result.runs) != len(specs):
        raise SystemExit(f"only {len(result.runs)} of {len(specs)} trials ended: {result.reason}")


def run_plain(specs: Sequence[TrialSpec], parallel: int, folder: Path, *, fresh: bool) -> None:
    """`parallel` processes at a time, each with its share of the trainings, or with one and then a new one."""
    files = []
    for number, spec in enumerate(specs):
        job = spec.on_node(
            data=deliver(spec.data),
            weights=None,
            output=folder / f"out{number}",
            device="cpu",
            num_threads=1,
        )
        file = folder / f"job{number}.json"
        file.write_text(encode(replace(job, resumable=False)), "ascii")
        files.append(file)
    shares = [files[slot::parallel] for slot in range(parallel)]
    command = [sys.executable, "-m", "benchmarks.sweep_overhead", "--plain"]
    chains = [[[*command, str(file)] for file in share] for share in shares]
    if not fresh:
        chains = [[[*command, *map(str, share)]] for share in shares]
    running: list[subprocess.Popen[bytes] | None] = [None] * parallel
    while any(chains) or any(process is not None for process in running):
        for slot, process in enumerate(running):
            if process is not None and process.poll() not in (None, 0):
                raise SystemExit(f"a plain training failed with {process.returncode}")
            if process is None or process.poll() is not None:
                begin = chains[slot].pop(0) if chains[slot] else None
                running[slot] = None if begin is None else subprocess.Popen(begin, stdout=subprocess.DEVNULL)
        time.sleep(0.05)


def clocked(work: Callable[[], None]) -> dict[str, float]:
    """Wall time, processor time of all that was started meanwhile, and how busy the machine was at the end."""
    began_s = time.monotonic()
    with counted() as cpu_s:
        work()
    spent = {"cpu_s": round(cpu_s[0], 1)} if cpu_s else {}
    return {"wall_s": round(time.monotonic() - began_s, 1), **spent, "load": round(os.getloadavg()[0], 1)}


@contextmanager
def counted() -> Iterator[list[float]]:
    """A control group for this process and what it starts; its processor time in the list afterwards."""
    spent: list[float] = []
    group = GROUPS / f"sweep-overhead-{os.getpid()}-{time.monotonic_ns()}"
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        yield spent
        return
    yield spent
    (GROUPS / "cgroup.procs").write_text(str(os.getpid()))
    if CPU_ACCOUNTS.is_dir():
        spent.append(int((group / "cpuacct.usage").read_text()) / 1e9)
    else:
        spent.append(int((group / "cpu.stat").read_text().split()[1]) / 1e6)
    with suppress(OSError):  # a process that is slow to end is still in it
        group.rmdir()


if __name__ == "__main__":
    main()
