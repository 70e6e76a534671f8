"""Backtest of the recommendations: every target in turn is hidden, forecast from the others, and compared.

Hidden means every run on it, and on copies and parts of it. Checkpoints that saw the target's images do not run on it.
Metrics are averaged over targets, with bootstrap intervals over targets, beside the baselines in the same run.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from recommender.blas import available_threads, single_blas_thread
from recommender.errors import UsageError
from recommender.forecast.calibration import Check
from recommender.forecast.kernel_inputs import same_images
from recommender.forecast.metrics import RankingMetrics, random_metrics, ranking_metrics
from recommender.forecast.prior_fitting import fitted_scales
from recommender.forecast.rankers import Ranker, rankers_for
from recommender.forecast.ranking import StartForecast, rank_starts
from recommender.forecast.rules import saw_target
from recommender.forecast.situation import HIGHEST, Observation, Situation
from recommender.progress import Progress, silent
from recommender.records import Interval
from recommender.tasks import Task

MARKS = tuple(field.name for field in fields(RankingMetrics))
RESAMPLES = 4000
BOOTSTRAP_LEVEL = 0.95
MIN_FULL = 3  # fully trained starts that are ranked apart


USUAL = "usual"
OTHER = "other, target hidden"
KNOWN = "other, target known"
BUDGETS = (USUAL, OTHER, KNOWN)


@dataclass(frozen=True, kw_only=True, eq=False)
class BacktestCase:
    """One target's race at one budget: its starts, their mean results over common seeds, and what else is known."""

    target: str
    target_name: str
    candidates: tuple[Situation, ...]
    truth: tuple[float, ...]
    history: tuple[Observation, ...]
    budgets: str = (
        USUAL  # one of BUDGETS: the budget of most runs, or another, without or with the target's usual runs
    )


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """Metrics of each ranker, per target and in the mean."""

    task: Task
    targets: tuple[str, ...]
    per_target: dict[str, tuple[RankingMetrics, ...]]
    full_mode: dict[str, tuple[RankingMetrics, ...]]  # of fully trained starts from checkpoints alone
    checks: tuple[Check, ...]  # of the forecast's intervals, losses and probabilities, in every budget class
    seed: int

    def mean(self, method: str, mark: str, *, full_mode: bool = False) -> Interval | None:
        """Mean over targets with its bootstrap interval; None where the ranker has no such mark."""
        values = [getattr(one, mark) for one in (self.full_mode if full_mode else self.per_target)[method]]
        return None if None in values or not values else bootstrap(values, seed=self.seed)

    def difference(self, method: str, other: str, mark: str) -> Interval:
        """Mean paired difference over targets with its bootstrap interval."""
        pairs = zip(self.per_target[method], self.per_target[other], strict=True)
        return bootstrap([getattr(a, mark) - getattr(b, mark) for a, b in pairs], seed=self.seed)


def cases(observations: Sequence[Observation], *, min_starts: int = 4) -> tuple[BacktestCase, ...]:
    """One case a target, at its commonest budget; targets with fewer than `min_starts` starts cannot be ranked."""
    return tuple(case for case in all_cases(observations, min_starts=min_starts) if case.budgets == USUAL)


def all_cases(observations: Sequence[Observation], *, min_starts: int = 4) -> tuple[BacktestCase, ...]:
    """Split the history by target and budget; results rank only against those of the same budget and seeds."""
    honest = [o for o in observations if o.partial is None and not saw_target(o.situation)]
    found = []
    targets = {o.situation.target.dataset_hash: o.situation.target for o in honest}
    hashes = sorted(targets)
    for target, same_T in zip(hashes, same_images([targets[one] for one in hashes]), strict=True):
        own = [o for o in honest if o.situation.target.dataset_hash == target]
        unlike = {one for one, same in zip(hashes, same_T, strict=True) if not same}
        others = tuple(o for o in honest if o.situation.target.dataset_hash in unlike)
        usual = _commonest_budget(own)
        for budget in sorted({_budget(o) for o in own}):
            there = [o for o in own if _budget(o) == budget]
            if budget == usual:
                found.append(_case(there, others, USUAL, min_starts))
                continue
            found.append(_case(there, others, OTHER, min_starts))
            known = tuple(o for o in own if _budget(o) != budget)
            found.append(_case(there, (*others, *known), KNOWN, min_starts))
    return tuple(case for case in found if case is not None)


def _case(
    own: Sequence[Observation], history: tuple[Observation, ...], budgets: str, min_starts: int
) -> BacktestCase | None:
    """The race of a target's runs at one budget, over the seeds that every start has; None with too few starts."""
    results: dict[str, dict[int, Observation]] = {}
    for observation in own:
        seed = observation.run.recipe.seed
        results.setdefault(str(observation.situation.start), {})[seed] = observation
    first = min((min(by_seed) for by_seed in results.values()), default=0)
    results = {start: by_seed for start, by_seed in results.items() if first in by_seed}
    if len(results) < min_starts:
        return None
    common = sorted(set.intersection(*(set(by_seed) for by_seed in results.values())))
    return BacktestCase(
        target=own[0].situation.target.dataset_hash,
        target_name=own[0].situation.target.dataset_name,
        candidates=tuple(by_seed[first].situation for by_seed in results.values()),
        truth=tuple(float(np.mean([by_seed[seed].score for seed in common])) for by_seed in results.values()),
        history=history,
        budgets=budgets,
    )


@single_blas_thread()
def backtest(
    observations: Sequence[Observation],
    *,
    seed: int = 0,
    known_targets: int | None = None,
    progress: Progress = silent,
) -> Backtest:
    """Leave one target out, for every ranker. `known_targets` caps the history to that many other targets.

    Raises UsageError with fewer than three targets: nothing could be said.
    """
    everything = all_cases(observations)
    found = [case for case in everything if case.budgets == USUAL]
    if len(found) < 3:
        raise UsageError(
            f"a backtest needs runs of 4 or more starts on each of 3 targets; the history has {len(found)} of those.",
            remedy="`recommend sweep --dataset A --dataset B …` fills it.",
        )
    rng = np.random.default_rng(seed)
    task = observations[0].situation.target.task
    tables = _Tables(rankers_for(task))
    checks: list[Check] = []
    by_target = itertools.groupby(everything, key=lambda case: case.target)
    questions = [[(case, _some(case.history, known_targets, rng)) for case in own] for _, own in by_target]
    # Much of the arithmetic leaves the interpreter free for another target's.
    with ThreadPoolExecutor(available_threads(), "backtest") as pool:
        answers = pool.map(
            lambda own: [_answer(case, history, tables.rankers, seed) for case, history in own], questions
        )
        for own in zip(questions, answers, strict=True):
            progress("hiding one data set after the other", len(checks), len(everything))
            for (case, _), (check, scores) in zip(*own, strict=True):
                checks.append(check)
                if case.budgets == USUAL:
                    tables.add(case, scores, inside_N=check.inside_N, rng=rng)
    return Backtest(
        task=task,
        targets=tuple(case.target_name for case in found),
        per_target={name: tuple(values) for name, values in tables.per_target.items()},
        full_mode={name: tuple(values) for name, values in tables.full_mode.items()},
        checks=tuple(checks),
        seed=seed,
    )


def _answer(
    case: BacktestCase, history: tuple[Observation, ...], rankers: Mapping[str, Ranker], seed: int
) -> tuple[Check, dict[str, NDArray[np.float64]]]:
    """The forecast of a case against its truth, and at the usual budget the scores of each ranker."""
    # The same scales for every budget of a target: fitted without any run on it.
    elsewhere = tuple(o for o in history if o.situation.target.dataset_hash != case.target)
    ranked = rank_starts(history, case.candidates, seed=seed, scales=fitted_scales(elsewhere))
    usual = rankers if case.budgets == USUAL else {}
    return check_of(case, ranked), {name: ranker(history, case.candidates) for name, ranker in usual.items()}


class _Tables:
    """The metrics of every ranker, target after target: over all starts, and over those in full mode alone."""

    def __init__(self, rankers: Mapping[str, Ranker]) -> None:
        self.rankers = rankers
        self.per_target: dict[str, list[RankingMetrics]] = {name: [] for name in ("random", *rankers)}
        self.full_mode: dict[str, list[RankingMetrics]] = {name: [] for name in rankers}

    def add(
        self,
        case: BacktestCase,
        scores: Mapping[str, NDArray[np.float64]],
        *,
        inside_N: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> None:
        """Judge the rankers' scores of a case; `inside_N` is 1 where the forecast's interval holds the truth."""
        truth_N = np.asarray(case.truth)
        full_N = np.array([candidate.start.mode == "full" for candidate in case.candidates])
        self.per_target["random"].append(random_metrics(truth_N, rng=rng))
        for name, scores_N in scores.items():
            inside = inside_N if name == "forecast" else None
            self.per_target[name].append(ranking_metrics(truth_N, scores_N, inside_N=inside))
            if full_N.sum() >= MIN_FULL:
                self.full_mode[name].append(ranking_metrics(truth_N[full_N], scores_N[full_N]))


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Mean with a percentile bootstrap interval over the values (targets)."""
    array = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(0, len(array), size=(RESAMPLES, len(array)))].mean(axis=1)
    tail = (1 - BOOTSTRAP_LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(mean=float(array.mean()), low=float(low), high=float(high), level=BOOTSTRAP_LEVEL)


def _budget(observation: Observation) -> tuple[int, int, float]:
    recipe = observation.run.recipe
    return recipe.epochs, recipe.imgsz, recipe.fraction


def _commonest_budget(observations: Sequence[Observation]) -> tuple[int, int, float]:
    """The budget under which most starts ran: results of different budgets do not rank against each other."""
    budgets = [_budget(observation) for observation in observations]
    return max(sorted(set(budgets)), key=budgets.count)


def _some(
    history: tuple[Observation, ...], known_targets: int | None, rng: np.random.Generator
) -> tuple[Observation, ...]:
    targets = sorted({o.situation.target.dataset_hash for o in history})
    if known_targets is None or known_targets >= len(targets):
        return history
    kept = set(rng.choice(targets, size=known_targets, replace=False))
    return tuple(o for o in history if o.situation.target.dataset_hash in kept)


def check_of(case: BacktestCase, ranked: Sequence[StartForecast]) -> Check:
    """Compare a case's ranking with its truth."""
    truth = {str(c.start): result for c, result in zip(case.candidates, case.truth, strict=True)}
    truth_N = np.array([truth[str(forecast.situation.start)] for forecast in ranked])
    low_N, high_N = (np.array([getattr(o.score, end) for o in ranked]) for end in ("low", "high"))
    return Check(
        target_name=case.target_name,
        budgets=case.budgets,
        # The scale tells nothing apart above HIGHEST, and no interval on it reaches 1.
        inside_N=((low_N <= truth_N) & (np.minimum(truth_N, HIGHEST) <= high_N)).astype(np.float64),
        expected_loss=ranked[0].expected_loss,
        realised_loss=float(truth_N.max() - truth_N[0]),
        p_best_N=np.array([forecast.p_best for forecast in ranked]),
        best_N=(np.arange(len(truth_N)) == int(truth_N.argmax())).astype(np.float64),
        truth_N=truth_N,
    )
