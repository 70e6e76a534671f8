"""Which rows of a ranking people see first, and what is left out of them."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.checkpoints import COCO_NAMES
from recommender.records import SCRATCH, RankedStart, Recommendation

DEFAULT_ROWS = 5
FOLDED_SHARE = 0.5  # of the target's images seen in its own training: it was trained on this very data


@dataclass(frozen=True, kw_only=True)
class ShownRows:
    """The ranking in three parts, each in the order of ranks."""

    shown: tuple[RankedStart, ...]
    more: tuple[RankedStart, ...]  # left out for brevity
    folded: tuple[RankedStart, ...]  # trained on this very data, so that their scores say little


def shown_rows(recommendation: Recommendation, limit: int | None = DEFAULT_ROWS) -> ShownRows:
    """The first `limit` rows, scratch and the best of COCO always among them; None shows all.

    Checkpoints trained on this very data are folded, unless one of them leads.
    """
    folded = tuple(row for row in recommendation.ranking[1:] if trained_on_target(row))
    rest = [row for row in recommendation.ranking if row not in folded]
    if limit is None or len(rest) <= limit:
        return ShownRows(shown=tuple(rest), more=(), folded=folded)
    coco = next((row for row in rest if row.start.checkpoint in COCO_NAMES), None)
    kept = [row for row in rest if row.start.checkpoint == SCRATCH or row is coco]
    kept += [row for row in rest if row not in kept][: max(0, limit - len(kept))]
    shown = tuple(row for row in rest if row in kept or row.rank == 1)
    return ShownRows(shown=shown, more=tuple(row for row in rest if row not in shown), folded=folded)


def trained_on_target(row: RankedStart) -> bool:
    """Whether the checkpoint was trained on most of the target's images."""
    return (row.evidence.source_images_seen or 0.0) >= FOLDED_SHARE


def names_of(rows: tuple[RankedStart, ...]) -> tuple[str, ...]:
    """The checkpoints of rows, each once."""
    return tuple(dict.fromkeys(row.start.checkpoint for row in rows))
