"""The forecast beside the outcome, so that users see how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recommender.comparison.comparison_input import ComparisonInput, ExpectedScore
from recommender.comparison.rows import ComparisonRow
from recommender.records import Start


@dataclass(frozen=True, kw_only=True)
class ForecastOutcome:
    """One forecast and what came of it, both on the validation images at the best epoch."""

    expected: ExpectedScore
    outcome: float  # mean over seeds
    deviation: float | None

    @property
    def inside(self) -> bool:
        """True if the outcome lies within the interval."""
        return self.expected.score.low <= self.outcome <= self.expected.score.high


@dataclass(frozen=True, kw_only=True)
class ForecastError:
    """Errors of the forecast. `regret` is the loss of following its first choice."""

    outcomes: tuple[ForecastOutcome, ...]
    first_choice: Start | None  # at the largest share
    regret: float | None

    @property
    def num_inside(self) -> int:
        """Outcomes within their intervals."""
        return sum(one.inside for one in self.outcomes)

    @property
    def mean_error(self) -> float | None:
        """Mean of outcome minus forecast; above zero the forecast was too low. The page of a comparison shows it."""
        if not self.outcomes:
            return None
        return sum(one.outcome - one.expected.score.mean for one in self.outcomes) / len(self.outcomes)


def forecast_error_of(comparison: ComparisonInput, rows: Sequence[ComparisonRow]) -> ForecastError:
    """Forecasts with an outcome, in the forecast's order."""
    at = {(row.start, row.fraction): row for row in rows}
    outcomes = tuple(
        ForecastOutcome(
            expected=expected,
            outcome=row.val_score.mean,
            deviation=row.val_score.deviation,
        )
        for expected in comparison.prior_forecast.expected
        if (row := at.get((expected.start, expected.fraction))) is not None
    )
    largest = max((one.expected.fraction for one in outcomes), default=1.0)
    here = [one for one in outcomes if one.expected.fraction == largest]
    if not here:
        return ForecastError(outcomes=outcomes, first_choice=None, regret=None)
    first = max(here, key=lambda one: one.expected.score.mean)
    return ForecastError(
        outcomes=outcomes,
        first_choice=first.expected.start,
        regret=max(one.outcome for one in here) - first.outcome,
    )
