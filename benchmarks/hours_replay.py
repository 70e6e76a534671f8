"""Error of the estimated hours: every run of the ground truth, estimated from the runs before it on other data sets.

`python -m benchmarks.hours_replay` prints the share of estimates within 25 % of the processor time that the training
took: processor time, since these runs shared their machine with other work, and each had one thread.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.truth.ledger import read_runs
from recommender.costs.image_sizes import operations_of
from recommender.costs.training_time import NEWEST, START_S, USUAL_FLOPS_B, Speed, TrainingWork
from recommender.profile.shipped import builtin_profiles
from recommender.records import Run

LEDGERS = tuple(Path(__file__).parent / "truth" / name for name in ("runs.jsonl", "runs-classify.jsonl"))
BAR = 0.25


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """A run's kind, and the estimate over the outcome."""

    kind: str
    ratio: float


def main() -> None:
    """Print one line for each kind of run, and the whole."""
    runs = [run for file in LEDGERS for run in read_runs(file)]
    found = estimates(
        [
            run
            for run in runs
            if run.status == "succeeded" and run.cpu_seconds and run.environment.device == "cpu"
        ]
    )
    kinds = defaultdict(list)
    for one in found:
        kinds[one.kind].append(one.ratio)
        kinds["all"].append(one.ratio)
    print(f"{'runs':32} {'number':>6}  within 25 %  median estimate/outcome")
    for kind, ratios in sorted(kinds.items()):
        inside = sum(abs(ratio - 1) <= BAR for ratio in ratios) / len(ratios)
        print(f"{kind:32} {len(ratios):6}  {inside:11.0%}  {statistics.median(ratios):.2f}")


def estimates(runs: Sequence[Run]) -> list[Estimated]:
    """Of every run that has `NEWEST` runs of its task on other data sets before it, in the order they ran."""
    val = {hash_: profile.num_images.val for hash_, profile in builtin_profiles().items()}
    ordered = sorted((run for run in runs if run.target_hash in val), key=lambda run: run.created_at)
    found = []
    for position, run in enumerate(ordered):
        before = [o for o in ordered[:position] if o.target_hash != run.target_hash and o.task == run.task]
        factors = [
            ((one.cpu_seconds or 0.0) - START_S) / _whole(_work(one, val[one.target_hash]))
            for one in before[-NEWEST:]
        ]
        if len(factors) < NEWEST:
            continue
        speed = Speed(factor=statistics.median(factors), num_runs=NEWEST, hardware=run.environment.hardware)
        seconds = speed.seconds(_work(run, val[run.target_hash]))
        kind = f"{run.task} {run.start.mode} {run.architecture} {run.recipe.imgsz} px"
        found.append(Estimated(kind=kind, ratio=seconds / (run.cpu_seconds or 1.0)))
    return found


def _whole(work: TrainingWork) -> float:
    return work.epoch_s * work.epochs


def _work(run: Run, num_val: int) -> TrainingWork:
    return TrainingWork(
        imgsz=run.recipe.imgsz,
        mode=run.start.mode,
        num_train_images=run.num_train_images,
        num_val_images=num_val,
        epochs=len(run.curve),
        flops_b=operations_of(run.architecture) or USUAL_FLOPS_B,
    )


if __name__ == "__main__":
    main()
