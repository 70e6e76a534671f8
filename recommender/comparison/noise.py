"""The spread of results by seeds, and when a difference is larger."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from recommender.records.fields import described

LEVEL = 0.9  # of the interval a difference has to leave
FLOOR = 0.02  # mAP under which a start has hardly learnt: its seeds have no room to differ
CARE = 0.01  # mAP: less is no difference to anybody, however sure


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """A mean over seeds."""

    mean: float
    deviation: float | None = field(
        metadata=described("Standard deviation over seeds; null with fewer than two.")
    )
    seeds: int = field(metadata=described("How many finished."))

    def words(self, digits: int = 3) -> str:
        """The mean with its deviation where it is known: "0.512 ± 0.013"."""
        text = f"{self.mean:.{digits}f}"
        return text if self.deviation is None else f"{text} ± {self.deviation:.{digits}f}"


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """The standard deviation between seeds, pooled over starts; None where nobody measured it."""

    deviation: float | None
    freedom: int  # degrees of freedom it rests on

    def of_difference(self, first: int, second: int) -> float | None:
        """The difference between two means of that many seeds that noise alone reaches one time in ten."""
        if self.deviation is None or not first or not second:
            return None
        from scipy.stats import t

        quantile = float(t.ppf((1 + LEVEL) / 2, self.freedom))
        return quantile * self.deviation * math.sqrt(1 / first + 1 / second)

    def direction(self, first: SeedSpread, second: SeedSpread) -> str:
        """ "more", "less", "same" (within noise or too small to matter) or "unknown" (noise not measured)."""
        gap = first.mean - second.mean
        bound = self.of_difference(first.seeds, second.seeds)
        if bound is None:
            return "unknown"
        if abs(gap) <= max(bound, CARE):
            return "same"
        return "more" if gap > 0 else "less"


def spread_of(values: Iterable[float | None]) -> SeedSpread | None:
    """Mean and deviation of the values that are known; None when none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return SeedSpread(mean=statistics.fmean(known), deviation=deviation, seeds=len(known))


def seed_noise(groups: Sequence[Sequence[float]]) -> SeedNoise:
    """Pooled over groups of results that differ by their seed only; starts that learnt nothing are left out."""
    squares, freedom = 0.0, 0
    for values in groups:
        if len(values) > 1 and statistics.fmean(values) >= FLOOR:
            squares += statistics.variance(values) * (len(values) - 1)
            freedom += len(values) - 1
    return SeedNoise(deviation=math.sqrt(squares / freedom) if freedom else None, freedom=freedom)
