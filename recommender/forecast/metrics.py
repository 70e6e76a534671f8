"""Metrics of a ranking against the results. Definitions: docs/accuracy.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RankingMetrics:
    """One ranker's marks on one target (or their mean over targets)."""

    rel_at_1: float  # true result of the first choice / best true result
    rel_at_3: float  # best true result among the first three / best true result
    regret_at_1: float  # best true mAP50-95 − that of the first choice
    top_1: float  # 1 when the first choice is the best start
    tau_w: float  # weighted Kendall correlation (Vigna 2015)
    interval_coverage: float | None = None  # share of results inside their 80 % intervals


def ranking_metrics(truth_N: Array, scores_N: Array, *, inside_N: Array | None = None) -> RankingMetrics:
    """Metrics of `scores_N` against the true results. Equal scores are resolved by their mean, not by luck."""
    from scipy.stats import weightedtau

    best = float(truth_N.max())
    first = _expected_first(truth_N, scores_N)
    third = _expected_best_of(truth_N, scores_N, 3)
    tau = float(weightedtau(truth_N, scores_N).statistic)
    return RankingMetrics(
        rel_at_1=first / best if best > 0 else 1.0,
        rel_at_3=third / best if best > 0 else 1.0,
        regret_at_1=best - first,
        top_1=_share_best(truth_N, scores_N),
        tau_w=tau if np.isfinite(tau) else 0.0,
        interval_coverage=float(inside_N.mean()) if inside_N is not None else None,
    )


def random_metrics(truth_N: Array, *, rng: np.random.Generator, draws: int = 200) -> RankingMetrics:
    """Expected marks of a random order, by drawing."""
    found = [ranking_metrics(truth_N, rng.random(len(truth_N))) for _ in range(draws)]
    names = ("rel_at_1", "rel_at_3", "regret_at_1", "top_1", "tau_w")
    return RankingMetrics(**{name: float(np.mean([getattr(one, name) for one in found])) for name in names})


def _expected_first(truth_N: Array, scores_N: Array) -> float:
    return float(truth_N[scores_N == scores_N.max()].mean())


def _share_best(truth_N: Array, scores_N: Array) -> float:
    chosen = truth_N[scores_N == scores_N.max()]
    return float(np.mean(chosen == truth_N.max()))


def _expected_best_of(truth_N: Array, scores_N: Array, count: int) -> float:
    """Best true result among the first `count`, averaged over the orders of equal scores at the edge."""
    order = np.sort(scores_N)[::-1]
    edge = order[min(count, len(order)) - 1]
    certain = truth_N[scores_N > edge]
    tied = np.sort(truth_N[scores_N == edge])
    seats = min(count, len(order)) - len(certain)
    floor = float(certain.max()) if len(certain) else -np.inf
    # The expected maximum of `seats` of the tied ones, drawn without replacement.
    total, expected = 0.0, 0.0
    for i, value in enumerate(tied):
        ways = _choose(i, seats - 1)
        total += ways
        expected += ways * max(floor, float(value))
    return expected / total


def _choose(n: int, k: int) -> float:
    from math import comb

    return float(comb(n, k)) if 0 <= k <= n else 0.0
