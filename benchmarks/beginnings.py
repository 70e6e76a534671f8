"""The use of the beginning of a long training for choosing a start: `python -m benchmarks.beginnings`.

Of every race of the built-in history of 60 epochs or more, among its starts from checkpoints: the mAP lost by taking
the start that leads after so large a share of the epochs, and the correlation of what sets the starts of a data set
apart there and at the end (arcsine square root scale).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.replay import one_seed
from recommender.forecast.backtest import OTHER, all_cases
from recommender.forecast.curves import best_so_far
from recommender.forecast.history import builtin_observations
from recommender.forecast.situation import Observation, to_scale
from recommender.tasks import TASKS

SHARES = (0.05, 0.1, 1 / 6, 1 / 3, 0.5, 0.75)
LONG = 60  # epochs
MIN_STARTS = 2


def main() -> None:
    """Print a table a task."""
    for row in TASKS:
        races = _races(builtin_observations(row.name))
        if not races:
            continue
        ends = [np.array([run.score for run in race]) for race in races]
        print(f"{row.name}: {len(races)} races, {sum(map(len, races))} trainings of {LONG} epochs or more")
        chance = float(np.mean([end.max() - end.mean() for end in ends]))
        print(f"  any of them: loses {chance:.3f}")
        for share in SHARES:
            begun = [_after(race, share) for race in races]
            lost = float(
                np.mean([end.max() - end[one.argmax()] for end, one in zip(ends, begun, strict=True)])
            )
            apart = np.corrcoef(_apart(begun), _apart(ends))[0, 1]
            print(f"  after {share:.0%}: loses {lost:.3f}, correlation {apart:.2f}")


def _races(observations: Sequence[Observation]) -> list[list[Observation]]:
    found = []
    for case in all_cases(observations, min_starts=MIN_STARTS):
        if case.budgets == OTHER and case.candidates[0].budget.epochs >= LONG:
            runs = [run for run in one_seed(case, observations) if run.situation.checkpoint is not None]
            found += [runs] if len(runs) >= MIN_STARTS else []
    return found


def _after(race: Sequence[Observation], share: float) -> np.ndarray:
    return np.array([best_so_far(run.run.curve, round(share * run.situation.budget.epochs)) for run in race])


def _apart(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Of each start its distance from its race's mean."""
    scaled = [np.array([to_scale(float(score)) for score in race]) for race in scores]
    return np.concatenate([race - race.mean() for race in scaled])


if __name__ == "__main__":
    main()
