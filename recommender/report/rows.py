"""The rows of a ranking that are shown first, and those left out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recommender.checkpoints import REFERENCE_NAMES
from recommender.forecast.rules import trained_on_target
from recommender.records import SCRATCH, RankedStart

DEFAULT_ROWS = 5


@dataclass(frozen=True, kw_only=True)
class ShownRows:
    """The ranking in three parts, each in the order of ranks."""

    shown: tuple[RankedStart, ...]
    more: tuple[RankedStart, ...]  # left out for brevity
    on_these_images: tuple[RankedStart, ...]  # trained on this very data, so that their scores say little


def shown_rows(ranking: Sequence[RankedStart], limit: int | None = DEFAULT_ROWS) -> ShownRows:
    """The first `limit` rows, scratch and the best of COCO always among them; None shows all.

    Checkpoints trained on this very data, which rank last, stand apart.
    """
    on_these_images = tuple(row for row in ranking if trained_on_target(row.evidence))
    rest = [row for row in ranking if row not in on_these_images]
    if limit is None or len(rest) <= limit:
        return ShownRows(shown=tuple(rest), more=(), on_these_images=on_these_images)
    coco = next((row for row in rest if row.checkpoint in REFERENCE_NAMES), None)
    kept = [row for row in rest if row.checkpoint == SCRATCH or row is coco]
    kept += [row for row in rest if row not in kept][: max(0, limit - len(kept))]
    shown = tuple(row for row in rest if row in kept or row.rank == 1)
    return ShownRows(
        shown=shown, more=tuple(row for row in rest if row not in shown), on_these_images=on_these_images
    )


def names_of(rows: Sequence[RankedStart]) -> tuple[str, ...]:
    """The checkpoints of rows, each once."""
    return tuple(dict.fromkeys(row.checkpoint for row in rows))


def highest_score(rows: Sequence[RankedStart]) -> float:
    """The upper end of the highest interval, where bars end; 1 where there is none above 0."""
    return max((row.score.high for row in rows), default=1.0) or 1.0
