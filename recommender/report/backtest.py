"""A backtest as a table and as a published document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from recommender.evidence import ESTIMATORS
from recommender.forecast.backtest import BUDGETS, MARKS, USUAL, Backtest, bootstrap
from recommender.forecast.calibration import DEAD, TIED, Check, reliability
from recommender.records import Interval
from recommender.tasks import task_definition

OPPONENTS = ("static", "similarity", "rules")  # and the task's usual start and own estimators
HEADINGS = {
    "rel_at_1": "Rel@1",
    "rel_at_3": "Rel@3",
    "regret_at_1": "regret@1",
    "top_1": "top-1",
    "tau_w": "τw",
    "interval_coverage": "in 80 % interval",
}


def backtest_document(result: Backtest) -> dict[str, Any]:
    """The document that `recommend backtest --json` prints."""
    methods = {
        name: {mark: _mean(result.mean(name, mark)) for mark in MARKS}
        | {"intervals": {mark: _bounds(result.mean(name, mark)) for mark in MARKS}}
        for name in result.per_target
    }
    differences = {
        f"forecast_minus_{other}": {
            mark: _whole(result.difference("forecast", other, mark))
            for mark in ("tau_w", "rel_at_1", "regret_at_1")
        }
        for other in _opponents(result)
    }
    return {
        "task": result.task,
        "metric": task_definition(result.task).metric.name,
        "targets": len(result.targets),
        "names": list(result.targets),
        "methods": methods,
        **differences,
        "full_mode": {
            name: {mark: _mean(result.mean(name, mark, full_mode=True)) for mark in MARKS[:-1]}
            for name in result.full_mode
        },
        "per_target": _per_target(result),
        "budgets": {name: _budget_class(result, name) for name in BUDGETS},
        "reliability": [asdict(one) for one in reliability(_usual(result))],
    }


def _opponents(result: Backtest) -> tuple[str, ...]:
    """The rankers that ours is compared with."""
    own = [row.name for row in ESTIMATORS if row.task == result.task]
    return tuple(
        name
        for name in (task_definition(result.task).reference, *OPPONENTS, *own)
        if name in result.per_target
    )


def _per_target(result: Backtest) -> list[dict[str, Any]]:
    """Our marks target by target, with what its results can tell: dead ones and ties are marked, not left out."""
    return [
        {
            "name": check.target_name,
            "starts": len(check.truth_N),
            "best": round(float(check.truth_N.max()), 4),
            "dead": check.dead,
            "tied_with_best": check.num_tied,
            "tau_w": round(ours.tau_w, 4),
            "rel_at_1": round(ours.rel_at_1, 4),
            "regret_at_1": round(ours.regret_at_1, 4),
        }
        for check, ours in zip(_usual(result), result.per_target["forecast"], strict=True)
    ]


def _usual(result: Backtest) -> list[Check]:
    return [check for check in result.checks if check.budgets == USUAL]


def _budget_class(result: Backtest, name: str) -> dict[str, Any]:
    """Coverage, loss and log-loss of the forecast in one budget class, with bootstrap intervals over cases."""
    checks = [check for check in result.checks if check.budgets == name]
    values = {
        "interval_coverage": [float(check.inside_N.mean()) for check in checks],
        "expected_loss": [check.expected_loss for check in checks],
        "realised_loss": [check.realised_loss for check in checks],
        "log_loss": [check.log_loss for check in checks],
        "uniform_log_loss": [check.uniform_log_loss for check in checks],
    }
    found = {
        mark: _whole(bootstrap(ones, seed=result.seed)) if ones else None for mark, ones in values.items()
    }
    return {"cases": len(checks), **found}


def print_backtest(result: Backtest, console: Console) -> None:
    """Draw the marks of all rankers, and by how much ours beats the two that matter."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{task_definition(result.task).name_in_full}: {len(result.targets)} targets, each hidden in turn",
        title_justify="left",
    )
    table.add_column("ranker")
    for mark in MARKS:
        table.add_column(HEADINGS[mark], justify="right")
    for name in result.per_target:
        means = [result.mean(name, mark) for mark in MARKS]
        table.add_row(name, *[_cell(mean) for mean in means], style="bold" if name == "forecast" else "")
    console.print(table)
    console.print("mean [95 % bootstrap interval over targets]", style="dim")
    for other in _opponents(result):
        for mark in ("tau_w", "rel_at_1"):
            found = result.difference("forecast", other, mark)
            verdict = "better" if found.low > 0 else "worse" if found.high < 0 else "not told apart"
            bounds = f"[{found.low:+.3f}, {found.high:+.3f}]"
            console.print(f"forecast − {other}: {HEADINGS[mark]} {found.mean:+.3f} {bounds} {verdict}")
    full = result.mean("forecast", "tau_w", full_mode=True)
    if full is not None:
        taus = {
            name: result.mean(name, "tau_w", full_mode=True)
            for name in ("forecast", "rules", "static", task_definition(result.task).reference)
        }
        told = ", ".join(f"{name} {tau.mean:.2f}" for name, tau in taus.items() if tau is not None)
        console.print(f"τw among fully trained checkpoints alone: {told}")
    _print_doubtful(result, console)
    _print_checks(result, console)


def _print_doubtful(result: Backtest, console: Console) -> None:
    """Targets whose results say little: nothing was learnt there, or many starts are as good as the best."""
    rows = _per_target(result)
    label = task_definition(result.task).metric.label
    dead = [row["name"] for row in rows if row["dead"]]
    alive = [row for row in rows if not row["dead"]]
    if dead and alive:
        without = bootstrap([row["rel_at_1"] for row in alive], seed=result.seed)
        console.print(
            f"best under {DEAD} {label}, so the order is mostly noise: {', '.join(dead)}; "
            f"without them the forecast's Rel@1 is {_cell(without)}",
            markup=False,
        )
    tied = [
        f"{row['name']} {row['tied_with_best']} of {row['starts']}"
        for row in rows
        if row["tied_with_best"] > 1
    ]
    if tied:
        console.print(f"starts within {TIED} {label} of the best: {', '.join(tied)}", markup=False)


def _print_checks(result: Backtest, console: Console) -> None:
    """Print the calibration of intervals, losses and probabilities, by budget."""
    table = Table(box=box.SIMPLE_HEAD, title="the forecast's numbers, by budget", title_justify="left")
    for heading in (
        "budget",
        "cases",
        "in 80 % interval",
        "expected loss",
        "realised loss",
        "log-loss",
        "uniform",
    ):
        table.add_column(heading, justify="left" if heading == "budget" else "right")
    for name in BUDGETS:
        found = _budget_class(result, name)
        if found["cases"]:
            numbers = [f"{value['mean']:.3f} [{value['low']:.2f}, {value['high']:.2f}]"
                       for value in list(found.values())[1:]]  # fmt: skip
            table.add_row(name, str(found["cases"]), *numbers)
    console.print(table)
    for one in reliability(_usual(result)):
        console.print(
            f"best? {one.low:.0%} to {one.high:.0%}: claimed {one.claimed:.1%}, true {one.true:.1%} "
            f"({one.count} starts)",
            style="dim",
        )


def _cell(mean: Interval | None) -> str:
    return "" if mean is None else f"{mean.mean:.3f} [{mean.low:.2f}, {mean.high:.2f}]"


def _mean(interval: Interval | None) -> float | None:
    return None if interval is None else round(interval.mean, 4)


def _bounds(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else {"low": round(interval.low, 4), "high": round(interval.high, 4)}


def _whole(interval: Interval) -> dict[str, float]:
    return {"mean": round(interval.mean, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}
