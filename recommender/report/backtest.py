"""A backtest as a table and as a published document."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from recommender.forecast.backtest import MARKS, Backtest
from recommender.records import Interval

COMPARED = (("static", "forecast_minus_static"), ("similarity", "forecast_minus_similarity"))
HEADINGS = {
    "rel_at_1": "Rel@1",
    "rel_at_3": "Rel@3",
    "regret_at_1": "regret@1",
    "top_1": "top-1",
    "tau_w": "τw",
    "interval_coverage": "in 80 % interval",
}


def backtest_document(result: Backtest) -> dict[str, Any]:
    """What `recommend backtest --json` prints."""
    methods = {
        name: {mark: _mean(result.mean(name, mark)) for mark in MARKS}
        | {"intervals": {mark: _bounds(result.mean(name, mark)) for mark in MARKS}}
        for name in result.per_target
    }
    differences = {
        key: {
            mark: _whole(result.difference("forecast", other, mark))
            for mark in ("tau_w", "rel_at_1", "regret_at_1")
        }
        for other, key in COMPARED
    }
    return {"targets": len(result.targets), "names": list(result.targets), "methods": methods, **differences}


def print_backtest(result: Backtest, console: Console) -> None:
    """Draw the marks of all rankers, and by how much ours beats the two that matter."""
    table = Table(
        box=box.SIMPLE_HEAD, title=f"{len(result.targets)} targets, each hidden in turn", title_justify="left"
    )
    table.add_column("ranker")
    for mark in MARKS:
        table.add_column(HEADINGS[mark], justify="right")
    for name in result.per_target:
        means = [result.mean(name, mark) for mark in MARKS]
        table.add_row(name, *[_cell(mean) for mean in means], style="bold" if name == "forecast" else "")
    console.print(table)
    console.print("mean [95 % bootstrap interval over targets]", style="dim")
    for other, _ in COMPARED:
        for mark in ("tau_w", "rel_at_1"):
            found = result.difference("forecast", other, mark)
            verdict = "better" if found.low > 0 else "worse" if found.high < 0 else "not told apart"
            bounds = f"[{found.low:+.3f}, {found.high:+.3f}]"
            console.print(f"forecast − {other}: {HEADINGS[mark]} {found.mean:+.3f} {bounds} {verdict}")


def _cell(mean: Interval | None) -> str:
    return "" if mean is None else f"{mean.mean:.3f} [{mean.low:.2f}, {mean.high:.2f}]"


def _mean(interval: Interval | None) -> float | None:
    return None if interval is None else round(interval.mean, 4)


def _bounds(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else {"low": round(interval.low, 4), "high": round(interval.high, 4)}


def _whole(interval: Interval) -> dict[str, float]:
    return {"mean": round(interval.mean, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}
