"""The cost of certainty: policies replayed over the built-in history, each target hidden in turn.

    python -m benchmarks.trial_cost [--orders 20]

Cost is in full-mode trainings of the same schedule. Random orders are averaged over seeds. Writes the table to
benchmarks/results/trial_cost.md and the curves, what each policy has lost after spending so much, to
docs/trial-cost.svg.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.replay import POLICIES, ReplayStep, one_seed
from recommender.forecast.backtest import bootstrap, cases
from recommender.forecast.history import known_history
from recommender.store import Store

OUT = Path("benchmarks/results/trial_cost.md")
PLOT = Path("docs/trial-cost.svg")
COLOURS = (
    "#0072b2",
    "#56b4e9",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#000000",
)  # Okabe & Ito: safe for colour blindness
CLOSE = 0.01  # relative to the best result
BY_CHANCE = ("successive halving", "brute force")
Array = NDArray[np.float64]


def main() -> int:
    """Replay and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "empty.sqlite3") as store:
        observations = known_history(store)
    found = cases(observations)
    lines = [
        f"{len(found)} targets of the built-in history, each hidden in turn; {options.orders} chance orders.",
        "",
        "| policy | cost, full runs | relative regret | within 1 % of the best |",
        "|---|---|---|---|",
    ]
    curves = {}
    grid = np.linspace(0.0, 20.0, 401)
    for name, policy in POLICIES.items():
        costs, regrets, lost = [], [], []
        for case in found:
            runs = one_seed(case, observations)
            results = np.array([run.score for run in runs])
            replays = [policy(case, runs, seed) for seed in range(options.orders if name in BY_CHANCE else 1)]
            ends = [steps[-1] for steps in replays]
            lost.append(np.mean([regret_along(steps, results, grid) for steps in replays], axis=0))
            costs.append(float(np.mean([end.cost for end in ends])))
            regrets.append(float(np.mean([1 - results[end.choice] / results.max() for end in ends])))
        curves[name] = np.mean(lost, axis=0)
        close = float(np.mean([regret <= CLOSE for regret in regrets]))
        cost, regret = bootstrap(costs), bootstrap(regrets)
        lines.append(
            f"| {name} | {cost.mean:.2f} [{cost.low:.2f}, {cost.high:.2f}] "
            f"| {regret.mean:.3f} [{regret.low:.3f}, {regret.high:.3f}] | {close:.0%} |"
        )
    text = "\n".join(lines) + "\n"
    draw(grid, curves)
    alone = curves["forecast alone"][0]
    catches_up = grid[np.argmax(curves["brute force"] < alone)]
    text += f"\nBrute force loses less than the forecast alone from {catches_up:.1f} full runs on.\n"
    OUT.write_text(text, "utf-8")
    print(text)
    return 0


def regret_along(steps: Sequence[ReplayStep], results: Array, grid: Array) -> Array:
    """Relative regret of the choice after each cost of the grid; before the first step any start is as good."""
    before = float(1 - results.mean() / results.max())
    after = [1 - results[step.choice] / results.max() for step in steps]
    passed = np.searchsorted([step.cost for step in steps], grid + 1e-9, side="right")
    return np.array([before, *after])[passed]


def draw(grid: Array, curves: dict[str, Array]) -> None:
    """One line for each policy; it ends where the policy does."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "trial-cost"  # the same numbers give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 4.0), layout="constrained")
    for (name, regret), colour in zip(curves.items(), COLOURS, strict=True):
        axes.step(grid, regret, where="post", label=name, color=colour, linewidth=1.8)
    axes.plot(0, curves["forecast alone"][0], "o", color=COLOURS[0])
    axes.set_xlabel("cost, full-length trainings")
    axes.set_ylabel("relative regret of the choice")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    raise SystemExit(main())
