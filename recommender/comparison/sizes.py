"""Up to which size of the data pretraining matters, read off the results at each share of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recommender.comparison.noise import CARE, SeedNoise
from recommender.comparison.rows import ComparisonRow
from recommender.records import Start


@dataclass(frozen=True, kw_only=True)
class SizeGain:
    """The gain of the best pretrained start over scratch at one size."""

    train_images: int
    start: Start  # the best pretrained one there
    gain: float  # of the score; negative where scratch won
    noise: float | None  # what seeds alone do to it; None where not measured

    @property
    def margin(self) -> float:
        """The gain beyond what noise or indifference explain."""
        return self.gain - max(self.noise or 0.0, CARE)


@dataclass(frozen=True, kw_only=True)
class SizeFinding:
    """`train_images` is the size below which pretraining matters; None where the sizes tried do not tell."""

    kind: Literal["everywhere", "nowhere", "below", "above"]
    gains: tuple[SizeGain, ...]  # the smallest size first
    train_images: int | None = None


def size_finding(rows: Sequence[ComparisonRow], noise: SeedNoise) -> SizeFinding | None:
    """None where fewer than two sizes have both scratch and a pretrained start.

    Between two sizes the margin is interpolated over the logarithm of the size.
    """
    gains = tuple(sorted((gain for gain in _gains(rows, noise)), key=lambda gain: gain.train_images))
    if len(gains) < 2:
        return None
    matters = [gain.margin > 0 for gain in gains]
    if all(matters):
        return SizeFinding(kind="everywhere", gains=gains)
    if not any(matters):
        return SizeFinding(kind="nowhere", gains=gains)
    # The largest size at which it still matters, when it stops mattering above it.
    last = max(i for i, does in enumerate(matters) if does)
    if last == len(gains) - 1:
        return SizeFinding(kind="above", gains=gains, train_images=gains[matters.index(True)].train_images)
    small, large = gains[last], gains[last + 1]
    share = small.margin / (small.margin - large.margin)
    logs = math.log(small.train_images), math.log(large.train_images)
    crossing = math.exp(logs[0] + share * (logs[1] - logs[0]))
    return SizeFinding(kind="below", gains=gains, train_images=round(crossing))


def _gains(rows: Sequence[ComparisonRow], noise: SeedNoise) -> list[SizeGain]:
    found = []
    for fraction in sorted({row.fraction for row in rows}):
        here = [row for row in rows if row.fraction == fraction]
        scratch = next((row for row in here if row.start.mode == "scratch"), None)
        others = [row for row in here if row.start.mode != "scratch"]
        if scratch is None or not others:
            continue
        best = max(others, key=lambda row: row.score.mean)
        found.append(
            SizeGain(
                train_images=best.train_images,
                start=best.start,
                gain=best.score.mean - scratch.score.mean,
                noise=noise.of_difference(best.score.seeds, scratch.score.seeds),
            )
        )
    return found
