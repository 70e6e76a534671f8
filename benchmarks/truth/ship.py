"""Pack the ground truth of a task as its built-in history: `python -m benchmarks.truth.ship [--task classify]`.

Joins the runs with what the forecast needs of them: the cards of their checkpoints, and the evidence of every one on
every target, gathered by the code users run. What the shipped file holds of the same evidence version is kept, so
that more runs alone need no weights. Data set profiles are shipped apart, before (`benchmarks.build_profiles`).
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import arguments_of
from benchmarks.truth.assembled import ASSEMBLED
from benchmarks.truth.entries import FAMILIES, RANDOM_SUFFIX
from benchmarks.truth.ledger import read_runs
from benchmarks.truth.run import ledger_of
from benchmarks.truth.sources import Grid, lineage_of
from recommender.checkpoints import catalogue, zoo
from recommender.evidence import EVIDENCE_VERSION, gather
from recommender.forecast.history import BuiltinHistory, builtin_file, builtin_history, observations
from recommender.forecast.kernels import PriorScales
from recommender.forecast.prior_fitting import fitted_scales
from recommender.profile.shipped import builtin_profiles
from recommender.records import SCRATCH, Checkpoint, Evidence, Run
from recommender.store import Store
from recommender.store.records_json import encode
from recommender.tasks import TASKS, Task

NOTHING = BuiltinHistory(runs=(), checkpoints={}, evidence={}, evidence_version="", scales=PriorScales())


def main() -> int:
    """Write recommender/forecast/builtin/history-TASK.json.gz."""
    parser = arguments_of(__doc__)
    parser.add_argument("--task", choices=[row.name for row in TASKS], default="detect")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "truth-work")
    parser.add_argument("--runs", type=Path, help="the task's ledger where nothing is said")
    options = parser.parse_args()
    runs = [run for run in read_runs(options.runs or ledger_of(options.task)) if is_shipped(run)]
    shared: Path = options.shared
    grid = Grid(data=shared / "data", weights=shared / "weights", work=options.work, threads=2)
    file = builtin_file(options.task)
    # An empty one where the task has no history yet: there is nothing to keep of it.
    shipped = builtin_history(options.task) if file.exists() else NOTHING
    checkpoints = _checkpoints(runs, grid, shipped)
    evidence = _evidence(runs, checkpoints, grid, options.task, shipped)
    content = {
        "evidence_version": EVIDENCE_VERSION,
        "runs": [json.loads(encode(run)) for run in runs],
        "checkpoints": [json.loads(encode(replace(c, path=None))) for c in checkpoints],
        "evidence": [
            {"target": target, "weights": weights, "evidence": json.loads(encode(found))}
            for (target, weights), found in evidence.items()
        ],
        "spread": json.loads(encode(_scales(runs, checkpoints, evidence))),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    # mtime 0: the same truth packs to the same bytes
    file.write_bytes(gzip.compress(json.dumps(content, sort_keys=True).encode(), mtime=0))
    print(f"{len(runs)} runs, {len(checkpoints)} checkpoints, {file.stat().st_size / 1024:.0f} KiB")
    return 0


def is_shipped(run: Run) -> bool:
    """True for what the built-in history takes in.

    Of one start at one budget it holds one run a seed, at the rate that users' trainings have. Assembled sets hold the
    images of others, which a backtest could not hide from each other.
    """
    usual_rate = run.recipe.learning_rate is None
    return run.status == "succeeded" and usual_rate and run.target_name not in ASSEMBLED


def _checkpoints(runs: list[Run], grid: Grid, before: BuiltinHistory) -> list[Checkpoint]:
    """The card of every checkpoint that ran: the zoo's own, as shipped before, or what is known of a shared one."""
    shipped = {checkpoint.name: checkpoint for checkpoint in zoo()}
    public = {checkpoint.name: checkpoint for checkpoint in catalogue()}
    results = (grid.weights / "domain" / "RESULTS.md").read_text("utf-8")
    quality = dict(re.findall(r"^\| (\w+) \| \d+ \| \d+ \| ([\d.]+)", results, re.MULTILINE))
    used = {run.start.checkpoint: run.weights_sha256 or "" for run in runs}
    found = []
    for name in sorted(used.keys() - {SCRATCH}):
        if name in shipped and shipped[name].sha256 == used[name]:
            found.append(shipped[name])
            continue
        source = _source_of(name)
        if source in FAMILIES:
            found.append(replace(public[name], sha256=used[name]))
            continue
        if used[name] in before.checkpoints:
            found.append(replace(before.checkpoints[used[name]], lineage=lineage_of(source)))
            continue
        score = float(quality[source]) if source in quality else None
        found.append(replace(grid.checkpoint(source), source_score=score))
    return found


def _weights_of(checkpoint: Checkpoint, grid: Grid) -> Path | None:
    """The file; None for weights trained here from random ones, of which another training would make other weights."""
    shipped = next((one for one in zoo() if one.sha256 == checkpoint.sha256), None)
    if shipped is not None:
        return shipped.path
    source = _source_of(checkpoint.name)
    return None if source.endswith(RANDOM_SUFFIX) else grid.checkpoint(source).path


def _source_of(checkpoint: str) -> str:
    return checkpoint.removesuffix("-yolo11n")


def _evidence(
    runs: list[Run], checkpoints: list[Checkpoint], grid: Grid, task: Task, before: BuiltinHistory
) -> dict[tuple[str, str], Evidence]:
    """Of every checkpoint on every target, of other families where they ran, by target hash and weights sha256."""
    profiles = builtin_profiles()
    ran = {(run.target_name, run.start.checkpoint) for run in runs}
    gathered: dict[tuple[str, str], Evidence] = {}
    grid.work.mkdir(parents=True, exist_ok=True)
    with Store(grid.work / "evidence.sqlite3") as store:
        for hash_, name in sorted({(run.target_hash, run.target_name) for run in runs}):
            asked = [c for c in checkpoints if c.name not in FAMILIES or (name, c.name) in ran]
            keys = {(hash_, checkpoint.sha256 or "") for checkpoint in asked}
            if before.evidence_version == EVIDENCE_VERSION and keys <= before.evidence.keys():
                gathered |= {key: before.evidence[key] for key in sorted(keys)}
                continue
            # All of them again where one is new: what is nearest depends on who is there.
            found = gather(
                grid.dataset(name, task),
                profiles[hash_],
                [replace(c, path=_weights_of(c, grid)) for c in asked],
                profiles,
                store=store,
                max_feature_candidates=len(asked),
            )
            print(f"evidence on {name}", flush=True)
            gathered |= {(hash_, c.sha256 or ""): found[c.name] for c in asked}
    return gathered


def _scales(
    runs: list[Run], checkpoints: list[Checkpoint], evidence: dict[tuple[str, str], Evidence]
) -> PriorScales:
    known = {c.sha256: c for c in checkpoints if c.sha256}
    return fitted_scales(
        observations(runs, profiles=builtin_profiles(), checkpoints=known, evidence=evidence)
    )


if __name__ == "__main__":
    raise SystemExit(main())
