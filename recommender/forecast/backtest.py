"""How good the recommendations are: every target in turn is hidden, forecast from the others, and compared.

Hidden means every run on it. Checkpoints that saw the target's images do not run on it. Marks are averaged over
targets, with bootstrap intervals over targets, beside the baselines in the same run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from recommender.errors import UsageError
from recommender.forecast.learning import learnt_spread
from recommender.forecast.metrics import Marks, marks, random_marks
from recommender.forecast.rankers import RANKERS
from recommender.forecast.ranking import outlooks
from recommender.forecast.rules import leaks
from recommender.forecast.situation import Observation, Situation
from recommender.progress import Progress, silent
from recommender.records import Interval

MARKS = tuple(field.name for field in fields(Marks))
RESAMPLES = 4000
BOOTSTRAP_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One target's race: its starts, their mean results over seeds, and what is known from the other targets."""

    target: str
    target_name: str
    candidates: tuple[Situation, ...]
    truth: tuple[float, ...]
    history: tuple[Observation, ...]


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """Marks of each ranker, per target and in the mean."""

    targets: tuple[str, ...]
    per_target: dict[str, tuple[Marks, ...]]
    seed: int

    def mean(self, method: str, mark: str) -> Interval | None:
        """Mean over targets with its bootstrap interval; None where the ranker has no such mark."""
        values = [getattr(one, mark) for one in self.per_target[method]]
        return None if None in values else bootstrap(values, seed=self.seed)

    def difference(self, method: str, other: str, mark: str) -> Interval:
        """Mean paired difference over targets with its bootstrap interval."""
        pairs = zip(self.per_target[method], self.per_target[other], strict=True)
        return bootstrap([getattr(a, mark) - getattr(b, mark) for a, b in pairs], seed=self.seed)


def cases(observations: Sequence[Observation], *, min_starts: int = 4) -> tuple[Case, ...]:
    """Split the history by target; targets with fewer than `min_starts` honest starts cannot be ranked."""
    honest = [o for o in observations if o.partial is None and not _saw_target(o.situation)]
    found = []
    for target in sorted({o.situation.target.dataset_hash for o in honest}):
        own = [o for o in honest if o.situation.target.dataset_hash == target]
        budget = _commonest_budget(own)
        results: dict[str, list[Observation]] = {}
        for observation in own:
            if _budget(observation) == budget:
                results.setdefault(str(observation.situation.start), []).append(observation)
        if len(results) < min_starts:
            continue
        found.append(
            Case(
                target=target,
                target_name=own[0].situation.target.dataset_name,
                candidates=tuple(group[0].situation for group in results.values()),
                truth=tuple(float(np.mean([o.score for o in group])) for group in results.values()),
                history=tuple(o for o in honest if o.situation.target.dataset_hash != target),
            )
        )
    return tuple(found)


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
    found = cases(observations)
    if len(found) < 3:
        raise UsageError(
            f"a backtest needs runs of 4 or more starts on each of 3 targets; the history has {len(found)} of those.",
            remedy="`recommend sweep --dataset A --dataset B …` fills it.",
        )
    rng = np.random.default_rng(seed)
    per_target: dict[str, list[Marks]] = {name: [] for name in ("random", *RANKERS)}
    for number, case in enumerate(found):
        progress("hiding one data set after the other", number, len(found))
        history = _some(case.history, known_targets, rng)
        truth = np.asarray(case.truth)
        per_target["random"].append(random_marks(truth, rng=rng))
        for name, ranker in RANKERS.items():
            inside = _inside(history, case, seed) if name == "forecast" else None
            per_target[name].append(marks(truth, ranker(history, case.candidates), inside_N=inside))
    return Backtest(
        targets=tuple(case.target_name for case in found),
        per_target={name: tuple(values) for name, values in per_target.items()},
        seed=seed,
    )


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Mean with a percentile bootstrap interval over the values (targets)."""
    array = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = array[rng.integers(0, len(array), size=(RESAMPLES, len(array)))].mean(axis=1)
    tail = (1 - BOOTSTRAP_LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(mean=float(array.mean()), low=float(low), high=float(high), level=BOOTSTRAP_LEVEL)


def _saw_target(situation: Situation) -> bool:
    own = situation.source is not None and situation.source.dataset_hash == situation.target.dataset_hash
    return own or leaks(situation)


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


def _inside(history: Sequence[Observation], case: Case, seed: int) -> NDArray[np.float64]:
    """For each start whether its true result lies in the forecast's interval."""
    truth = {str(c.start): result for c, result in zip(case.candidates, case.truth, strict=True)}
    return np.array(
        [
            o.score.low <= truth[str(o.situation.start)] <= o.score.high
            for o in outlooks(history, case.candidates, seed=seed, spread=learnt_spread(tuple(history)))
        ],
        dtype=np.float64,
    )
