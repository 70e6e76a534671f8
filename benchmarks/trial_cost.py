"""The cost of certainty: policies replayed over the built-in history, each target hidden in turn.

    python -m benchmarks.trial_cost [--orders 20]

Cost is in full-mode trainings of the same schedule. Random orders are averaged over seeds. Writes a table a task to
benchmarks/results/trial_cost.md and for detection the curves, what each policy has lost after spending so much, to
docs/trial-cost.svg.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import arguments_of
from benchmarks.replay import POLICIES, Policy, ReplayStep, one_seed
from recommender.forecast.backtest import bootstrap, cases
from recommender.forecast.history import builtin_observations
from recommender.forecast.situation import Observation
from recommender.tasks import TASKS, Task

OUT = Path("benchmarks/results/trial_cost.md")
PLOT = Path("docs/trial-cost.svg")
COLOURS = {  # Okabe & Ito: safe for colour blindness
    "forecast alone": "#0072b2",
    "forecast and trials of a third": "#56b4e9",
    "forecast and whole trials": "#009e73",
    "forecast order, full runs": "#cc79a7",
    "successive halving": "#d55e00",
    "brute force": "#000000",
}
CLOSE = 0.01  # relative to the best result
GRID = np.linspace(0.0, 20.0, 401)  # full runs
BY_CHANCE = ("successive halving", "brute force")
Array = NDArray[np.float64]


def main() -> int:
    """Replay and write the table."""
    parser = arguments_of(__doc__)
    parser.add_argument("--orders", type=int, default=20)
    options = parser.parse_args()
    lines = []
    for row in TASKS:
        observations = builtin_observations(row.name)
        found = {
            name: replayed(policy, observations, orders=options.orders if name in BY_CHANCE else 1)
            for name, policy in POLICIES.items()
        }
        lines += [*_table(row.name, found, options.orders), ""]
        if row.name == "detect":
            draw(found)
            alone, brute = (found[name].along_G for name in ("forecast alone", "brute force"))
            catches_up = GRID[np.argmax(brute < alone[0])]
            lines += [
                f"Brute force loses less than the forecast alone from {catches_up:.1f} full runs on.",
                "",
            ]
    text = "\n".join(lines)
    OUT.write_text(text, "utf-8")
    print(text)
    return 0


@dataclass(frozen=True)
class Replayed:
    """One policy on C targets: cost and relative regret of each, and the mean regret along the grid of costs."""

    costs_C: Array
    regrets_C: Array
    along_G: Array


def replayed(policy: Policy, observations: Sequence[Observation], *, orders: int = 1) -> Replayed:
    """The policy on every target of these runs, hidden; what it leaves to chance is averaged over `orders` seeds."""
    costs, regrets, lost = [], [], []
    for case in cases(observations):
        runs = one_seed(case, observations)
        results = np.array([run.score for run in runs])
        replays = [policy(case, runs, seed) for seed in range(orders)]
        ends = [steps[-1] for steps in replays]
        lost.append(np.mean([regret_along(steps, results, GRID) for steps in replays], axis=0))
        costs.append(float(np.mean([end.cost for end in ends])))
        regrets.append(float(np.mean([1 - results[end.choice] / results.max() for end in ends])))
    return Replayed(np.array(costs), np.array(regrets), np.mean(lost, axis=0))


def _table(task: Task, found: dict[str, Replayed], orders: int) -> list[str]:
    """The halves are every other target from the first on, and the rest: what was chosen on one shows on the other."""
    everything = float(found["brute force"].costs_C.mean())
    lines = [
        f"{task}: {len(found['brute force'].costs_C)} targets of the built-in history, each hidden in turn; "
        f"{orders} chance orders.",
        "",
        "| policy | cost, full runs | share of brute force | relative regret | of each half | within 1 % |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        cost, regret = bootstrap(one.costs_C.tolist()), bootstrap(one.regrets_C.tolist())
        close = float(np.mean(one.regrets_C <= CLOSE))
        lines.append(
            f"| {name} | {cost.mean:.2f} [{cost.low:.2f}, {cost.high:.2f}] | {cost.mean / everything:.0%} "
            f"| {regret.mean:.3f} [{regret.low:.3f}, {regret.high:.3f}] "
            f"| {one.regrets_C[::2].mean():.3f}, {one.regrets_C[1::2].mean():.3f} | {close:.0%} |"
        )
    return lines


def regret_along(steps: Sequence[ReplayStep], results: Array, grid: Array) -> Array:
    """Relative regret of the choice after each cost of the grid; before the first step any start is as good."""
    before = float(1 - results.mean() / results.max())
    after = [1 - results[step.choice] / results.max() for step in steps]
    passed = np.searchsorted([step.cost for step in steps], grid + 1e-9, side="right")
    return np.array([before, *after])[passed]


def draw(found: dict[str, Replayed]) -> None:
    """One line for each policy that has a colour; it ends where the policy does"""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "trial-cost"  # the same numbers give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 4.0), layout="constrained")
    for name, colour in COLOURS.items():
        axes.step(GRID, found[name].along_G, where="post", label=name, color=colour, linewidth=1.8)
    axes.plot(0, found["forecast alone"].along_G[0], "o", color=COLOURS["forecast alone"])
    axes.set_xlabel("cost, full-length trainings")
    axes.set_ylabel("relative regret of the choice")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    raise SystemExit(main())
