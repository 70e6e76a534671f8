"""The trust that the ground truth deserves: what another seed changes. `python -m benchmarks.truth.noise`

On the targets whose starts were trained with several seeds: the noise that is left when seeds and starts have had
their say, how well the order of one seed agrees with that of the others, and what the winner of one seed loses on the
others. Then the ceiling: what a forecast that knew every start's mean over all seeds would reach in the backtest, whose
truth is mostly one seed. Writes benchmarks/results/truth_noise.md.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import weightedtau

from benchmarks.truth.entries import BASE
from benchmarks.truth.ledger import read_runs
from benchmarks.truth.run import ledger_of
from recommender.forecast.backtest import cases
from recommender.forecast.history import builtin_observations
from recommender.forecast.metrics import ranking_metrics
from recommender.records import Run

OUT = Path("benchmarks/results/truth_noise.md")
MIN_STARTS = 3
DRAWS = 500


def main() -> None:
    """Measure, print and write."""
    lines = [
        "| target | starts | seeds | noise of a run, mAP50-95 | order of a seed against the others, τw "
        "| its winner's relative regret there |",
        "|---|---|---|---|---|---|",
    ]
    summary, scaled = [], []
    for target, results_KS in sorted(tables(read_runs(ledger_of("detect"))).items()):
        numbers = (noise(results_KS), *across_seeds(results_KS))
        summary.append(numbers)
        scaled.append(noise(np.arcsin(np.sqrt(results_KS))))
        starts, seeds = results_KS.shape
        lines.append(f"| {target} | {starts} | {seeds} | " + " | ".join(f"{n:.3f}" for n in numbers) + " |")
    mean = np.mean(np.array(summary), axis=0)
    lines.append("| mean | | | " + " | ".join(f"{n:.3f}" for n in mean) + " |")
    order, first = ceiling(float(np.mean(scaled)))
    lines += [
        "",
        f"A forecast that knew the mean of every start would reach τw {order:.2f}, Rel@1 {first:.3f}.",
    ]
    text = "\n".join(lines) + "\n"
    OUT.write_text(text, "utf-8")
    print(text)


def tables(runs: list[Run]) -> dict[str, NDArray[np.float64]]:
    """For each target its K starts × S seeds, where every start has every seed."""
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        recipe = run.recipe
        same = (recipe.epochs, recipe.imgsz, recipe.fraction) == (BASE.epochs, BASE.imgsz, 1.0)
        if same and run.best is not None and run.status == "succeeded":
            found[run.target_name][str(run.start)][recipe.seed] = run.best.score
    whole = {}
    for target, starts in found.items():
        seeds = sorted({seed for results in starts.values() for seed in results})
        rows = [
            [results[seed] for seed in seeds] for results in starts.values() if len(results) == len(seeds)
        ]
        if len(seeds) > 1 and len(rows) >= MIN_STARTS:
            whole[target] = np.array(rows)
    return whole


def noise(results_KS: NDArray[np.float64]) -> float:
    """Standard deviation of what is neither the start's nor the seed's: a seed lifts all starts together."""
    starts, seeds = results_KS.shape
    rest = results_KS - results_KS.mean(axis=1, keepdims=True) - results_KS.mean(axis=0) + results_KS.mean()
    return float(np.sqrt((rest**2).sum() / ((starts - 1) * (seeds - 1))))


def across_seeds(results_KS: NDArray[np.float64]) -> tuple[float, float]:
    """Agreement of one seed's order with the mean of the others, and what its winner loses there."""
    taus, regrets = [], []
    for seed in range(results_KS.shape[1]):
        others_K = np.delete(results_KS, seed, axis=1).mean(axis=1)
        one_K = results_KS[:, seed]
        taus.append(weightedtau(others_K, one_K).statistic)
        regrets.append(1 - others_K[one_K.argmax()] / others_K.max())
    return float(np.mean(taus)), float(np.mean(regrets))


def ceiling(noise_sd: float) -> tuple[float, float]:
    """τw and Rel@1 of perfect knowledge against results with noise, in the mean over the backtest's targets.

    On the arcsine square root scale, where the noise of poor and good starts is alike. The means behind the recorded
    results are not known: these are taken with their spread shrunk by the noise in it (James & Stein 1961), and noise
    is drawn anew.
    """
    found = cases(builtin_observations("detect"))
    rng = np.random.default_rng(0)
    reached = []
    for case in found:
        results = np.arcsin(np.sqrt(np.asarray(case.truth)))
        keep = max(0.0, 1 - noise_sd**2 / results.var()) ** 0.5
        means = results.mean() + keep * (results - results.mean())
        for _ in range(DRAWS):
            seen = np.clip(means + noise_sd * rng.standard_normal(len(means)), 0.0, np.pi / 2)
            one = ranking_metrics(np.sin(seen) ** 2, means)
            reached.append((one.tau_w, one.rel_at_1))
    order, first = np.mean(reached, axis=0)
    return float(order), float(first)


if __name__ == "__main__":
    main()
