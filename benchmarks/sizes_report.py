"""Errors of the forecast on family and image size, leaving one data set out, beside two simple rules.

`python -m benchmarks.sizes_report` prints it from the runs of the ground truth that vary both: fully trained COCO
checkpoints of several families, each at several image sizes, on the same data set. Every data set is hidden in turn.
"Tables" are forecasts from the published tables and the runs at the usual size and architecture alone; "learned" adds
what the other data sets showed at other sizes and families. The rules take the family with the highest COCO mAP, and
the largest image size.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.truth.entries import BASE
from benchmarks.truth.ledger import read_runs
from recommender.checkpoints import catalogue
from recommender.forecast.gaussian_process import posterior
from recommender.forecast.history import BuiltinHistory, builtin_history, observations
from recommender.forecast.prior_fitting import fitted_scales
from recommender.forecast.situation import Observation
from recommender.forecast.size_effects import USUAL_ARCHITECTURE, capacity
from recommender.profile.shipped import builtin_profiles
from recommender.records import Checkpoint, Run
from recommender.store.clock import utc_now

LEDGER = Path(__file__).parent / "truth" / "runs.jsonl"
USUAL = f"coco-{USUAL_ARCHITECTURE}"
MIN_FAMILIES, MIN_SIZES = 2, 2
FORECASTS = ("tables", "learned")

Cell = tuple[str, int]  # architecture and image size


@dataclass(frozen=True, kw_only=True)
class Race:
    """The results and forecasts of every family and size on one data set."""

    target: str
    truth: Mapping[Cell, float]
    forecasts: Mapping[str, Mapping[Cell, float]]  # by name of `FORECASTS`
    capacity: Mapping[str, float]  # on COCO, by architecture

    def rules(self) -> dict[str, dict[Cell, float]]:
        """The value that each rule gives a cell; what it does not order is equal."""
        return {
            "highest COCO mAP": {cell: self.capacity[cell[0]] for cell in self.truth},
            "largest image size": {cell: float(cell[1]) for cell in self.truth},
            "both": {cell: 1000.0 * cell[1] + self.capacity[cell[0]] for cell in self.truth},
        }


def main() -> None:
    """Print the report as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=Path, default=LEDGER, help="Ledger of runs, as benchmarks/truth writes it."
    )
    print(report(races(read_runs(parser.parse_args().runs))))


def races(runs: Sequence[Run]) -> tuple[Race, ...]:
    """One race for every data set of whose runs enough differ in family and size."""
    every = joined(runs, builtin_history("detect"))
    varied = [one for one in every if _varies(one)]
    found = []
    for target in sorted({one.run.target_name for one in varied}):
        cells = {_cell(one): one for one in varied if one.run.target_name == target}
        sizes = {size for _, size in cells if sum(cell[1] == size for cell in cells) >= MIN_FAMILIES}
        families = {name for name, _ in cells if all((name, size) in cells for size in sizes)}
        complete = {cell: cells[cell] for cell in itertools.product(sorted(families), sorted(sizes))}
        if len(families) < MIN_FAMILIES or len(sizes) < MIN_SIZES:
            continue
        found.append(_race(target, complete, every))
    return tuple(found)


def joined(runs: Sequence[Run], builtin: BuiltinHistory) -> tuple[Observation, ...]:
    """The runs with what is known of them. Other families' COCO weights have the evidence of the usual one's source."""
    usual = next(c for c in builtin.checkpoints.values() if c.name == USUAL)
    public = {entry.name: entry for entry in catalogue()}
    checkpoints: dict[str, Checkpoint] = dict(builtin.checkpoints)
    evidence = dict(builtin.evidence)
    for run in runs:
        sha256, known = run.weights_sha256 or "", public.get(run.start.checkpoint)
        if known is not None and sha256 not in checkpoints:
            checkpoints[sha256] = replace(known, sha256=sha256)
        own = evidence.get((run.target_hash, usual.sha256 or ""))
        if known is not None and own is not None:
            evidence.setdefault((run.target_hash, sha256), replace(own, scores={}))
    return observations(runs, profiles=builtin_profiles(), checkpoints=checkpoints, evidence=evidence)


def _varies(one: Observation) -> bool:
    """True for full training of COCO's weights by the usual recipe, at whatever image size."""
    name, recipe = one.run.start.checkpoint, one.run.recipe
    public = name == USUAL or name in {entry.name for entry in catalogue()}
    return public and one.run.start.mode == "full" and recipe == replace(BASE, imgsz=recipe.imgsz)


def _cell(one: Observation) -> Cell:
    return one.run.architecture, one.run.recipe.imgsz


def _race(target: str, cells: Mapping[Cell, Observation], every: Sequence[Observation]) -> Race:
    elsewhere = tuple(one for one in every if one.run.target_name != target)
    usual = tuple(
        one for one in elsewhere if one.run.architecture == USUAL_ARCHITECTURE and not _odd_size(one)
    )
    asked = [one.situation for one in cells.values()]
    forecasts = {}
    for name, history in zip(FORECASTS, (usual, elsewhere), strict=True):
        means_N = posterior(history, asked, fitted_scales(history)).expected_scores()
        forecasts[name] = {cell: float(mean) for cell, mean in zip(cells, means_N, strict=True)}
    return Race(
        target=target,
        truth={cell: one.score for cell, one in cells.items()},
        forecasts=forecasts,
        capacity={
            cell[0]: capacity(one.situation.checkpoint)
            for cell, one in cells.items()
            if one.situation.checkpoint is not None
        },
    )


def _odd_size(one: Observation) -> bool:
    # Those of the history before families and sizes were varied.
    return one.run.recipe.imgsz not in (160, 192)


def regret(race: Race, values: Mapping[Cell, float], cells: Sequence[Cell] | None = None) -> float:
    """The loss of the cell of the highest value against the best of the cells; of equals the mean."""
    among = list(cells or race.truth)
    top = max(values[cell] for cell in among)
    chosen = [race.truth[cell] for cell in among if values[cell] == top]
    return max(race.truth[cell] for cell in among) - float(np.mean(chosen))


def family_regret(race: Race, values: Mapping[Cell, float]) -> float:
    """The mean over image sizes of the regret where only the family is chosen."""
    sizes = sorted({cell[1] for cell in race.truth})
    return float(np.mean([regret(race, values, [c for c in race.truth if c[1] == size]) for size in sizes]))


def size_gain(values: Mapping[Cell, float]) -> float:
    """The gain of the largest image size over the smallest, the mean over families."""
    sizes = sorted({cell[1] for cell in values})
    families = sorted({cell[0] for cell in values})
    return float(np.mean([values[name, sizes[-1]] - values[name, sizes[0]] for name in families]))


def report(found: Sequence[Race]) -> str:
    """Two tables: regret of each way of choosing, and the gain of the larger size, expected and measured."""
    if not found:
        return "No data set has runs of two families at two image sizes."
    lines = [
        f"{len(found)} data sets, {sum(len(race.truth) for race in found)} runs, {utc_now()[:10]}",
        "",
        "| chosen by | family and size, loses | family alone, loses |",
        "|---|---|---|",
    ]
    ways = {name: [race.forecasts[name] for race in found] for name in FORECASTS}
    ways |= {name: [race.rules()[name] for race in found] for name in found[0].rules()}
    for name, values in ways.items():
        both = np.mean([regret(race, value) for race, value in zip(found, values, strict=True)])
        family = np.mean([family_regret(race, value) for race, value in zip(found, values, strict=True)])
        label = f"the forecast, {name}" if name in FORECASTS else name
        lines.append(f"| {label} | {both:.3f} | {family:.3f} |")
    chance = np.mean([max(r.truth.values()) - np.mean(list(r.truth.values())) for r in found])
    lines += [
        f"| at random | {chance:.3f} | {np.mean([family_regret(r, dict.fromkeys(r.truth, 0.0)) for r in found]):.3f} |"
    ]
    sizes = sorted({cell[1] for cell in found[0].truth})
    lines += [
        "",
        f"| gain of {sizes[-1]} over {sizes[0]} px | measured | tables | learned | best family |",
        "|---|---|---|---|---|",
    ]
    for race in found:
        best = max(race.truth, key=lambda cell: race.truth[cell])
        gains = [size_gain(race.truth), *(size_gain(race.forecasts[name]) for name in FORECASTS)]
        lines.append(f"| {race.target} | " + " | ".join(f"{gain:+.3f}" for gain in gains) + f" | {best[0]} |")
    for name in FORECASTS:
        error = np.mean([abs(size_gain(r.forecasts[name]) - size_gain(r.truth)) for r in found])
        lines.append(f"\nMean error of the gain, {name}: {error:.3f}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
