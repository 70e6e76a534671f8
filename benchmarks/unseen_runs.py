"""Forecast the runs of the ledgers that the built-in history does not hold yet: `python -m benchmarks.unseen_runs`.

The history of today forecasts what was trained after it was shipped, once with every run on the target hidden, once
with them known. Run before `benchmarks.truth.ship` takes the runs in.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.truth.ledger import read_runs
from benchmarks.truth.run import ledger_of
from benchmarks.truth.ship import is_shipped
from recommender.forecast.backtest import BacktestCase, all_cases, bootstrap, check_of
from recommender.forecast.calibration import Check
from recommender.forecast.history import builtin_history, builtin_observations, observations
from recommender.forecast.prior_fitting import fitted_scales
from recommender.forecast.ranking import rank_starts
from recommender.forecast.situation import Observation
from recommender.profile.shipped import builtin_profiles
from recommender.records import Interval
from recommender.tasks import TASKS, Task

Budget = tuple[int, int, int]  # train images, px, epochs


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """One race of new runs: its case, its check, and the forecast interval and result of each start."""

    case: BacktestCase
    check: Check
    lines: tuple[str, ...]


def main() -> None:
    """Print the forecasts by budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--task", choices=[row.name for row in TASKS], default="detect")
    parser.add_argument(
        "--part", help="of the plan, one that is held out; else what the task's ledger holds new"
    )
    parser.add_argument("--list", action="store_true", help="every run beside its forecasts")
    options = parser.parse_args()
    for known in (False, True):
        print(f"target {'known' if known else 'hidden'}")
        by_budget: dict[Budget, list[Forecast]] = defaultdict(list)
        for one in forecasts(options.task, known=known, part=options.part):
            situation = one.case.candidates[0]
            budget = situation.budget
            step = 10 if situation.num_train_images < 20 else 20 if situation.num_train_images < 100 else 100
            images = situation.num_train_images // step * step
            by_budget[images, budget.imgsz, budget.epochs].append(one)
        for budget_key in sorted(by_budget):
            images, imgsz, epochs = budget_key
            print(f"{images} images, {imgsz} px, {epochs} epochs: {summary(by_budget[budget_key])}")
            for one in by_budget[budget_key] if options.list else ():
                print("\n".join(one.lines))
        print(f"in all: {summary([one for found in by_budget.values() for one in found])}")


def forecasts(task: Task, *, known: bool, part: str | None = None) -> list[Forecast]:
    """Every race of new runs, two starts at least, forecast without or with the target's runs that are shipped."""
    shipped = builtin_observations(task)
    found = []
    for case in all_cases(_new_runs(task, part), min_starts=2):
        # The target's own new runs say nothing: each budget is forecast from what is shipped alone.
        elsewhere = tuple(o for o in shipped if o.situation.target.dataset_hash != case.target)
        scales = fitted_scales(elsewhere)
        ranked = rank_starts(shipped if known else elsewhere, case.candidates, scales=scales)
        check = check_of(case, ranked)
        lines = tuple(
            f"  {case.target_name:16}{one.situation.start!s:28}{one.score.mean:.3f} "
            f"({one.score.low:.2f}-{one.score.high:.2f}) p {one.p_best:.2f}  came {truth:.3f}"
            f"{'' if inside else '  outside'}"
            for one, truth, inside in zip(ranked, check.truth_N, check.inside_N, strict=True)
        )
        found.append(Forecast(case=case, check=check, lines=lines))
    kept: dict[tuple[object, ...], Forecast] = {}
    for one in found:  # `all_cases` names the budgets of a target more than once
        asked = one.case.candidates[0]
        kept.setdefault((one.case.target, asked.budget, asked.num_train_images), one)
    return list(kept.values())


def _new_runs(task: Task, part: str | None) -> tuple[Observation, ...]:
    builtin = builtin_history(task)
    shipped = {run.id for run in builtin.runs}
    return observations(
        [run for run in read_runs(ledger_of(task, part)) if run.id not in shipped and is_shipped(run)],
        profiles=builtin_profiles(),
        checkpoints=builtin.checkpoints,
        evidence=builtin.evidence,
    )


def summary(found: Sequence[Forecast]) -> str:
    """One line of a table; brackets are bootstrap intervals over targets."""
    checks = [one.check for one in found]
    inside = np.concatenate([check.inside_N for check in checks])
    of_targets = over_targets(found, lambda check: float(check.inside_N.mean()))
    losses = over_targets(found, lambda check: check.log_loss)
    realised = over_targets(found, lambda check: check.realised_loss)
    return (
        f"{len(checks)} races, {len(inside)} results, "
        f"{inside.mean():.0%} [{of_targets.low:.0%}, {of_targets.high:.0%}] inside; "
        f"loss {np.mean([c.expected_loss for c in checks]):.3f} expected, "
        f"{np.mean([c.realised_loss for c in checks]):.3f} [{realised.low:.3f}, {realised.high:.3f}] realised; "
        f"first the best {np.mean([c.p_best_N[0] for c in checks]):.0%} claimed, "
        f"{sum(int(c.best_N[0]) for c in checks)} of {len(checks)}; log-loss "
        f"{np.mean([c.log_loss for c in checks]):.2f} [{losses.low:.2f}, {losses.high:.2f}] "
        f"({np.mean([c.uniform_log_loss for c in checks]):.2f})"
    )


def over_targets(found: Sequence[Forecast], value: Callable[[Check], float]) -> Interval:
    """The bootstrap interval over targets of a value's mean over the races of each."""
    by_target: dict[str, list[float]] = defaultdict(list)
    for one in found:
        by_target[one.case.target].append(value(one.check))
    return bootstrap([float(np.mean(values)) for values in by_target.values()])


if __name__ == "__main__":
    main()
