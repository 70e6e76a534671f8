"""The columns of the ranked table beyond rank, start and forecast: heading, meaning and cell, for every form of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recommender.profile import NOTHING_SIMILAR
from recommender.records import RankedStart


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. `cell` takes a row and the number of the target's classes; unknown is empty."""

    heading: str
    meaning: str
    cell: Callable[[RankedStart, int], str]


def _gain(row: RankedStart, num_classes: int) -> str:
    return "" if row.start.mode == "scratch" else f"{row.gain_over_scratch.mean:+.2f}"


def _loss(row: RankedStart, num_classes: int) -> str:
    return f"{row.expected_loss:.2f}"


def _similarity(row: RankedStart, num_classes: int) -> str:
    value = row.evidence.similarity
    return "" if value is None else f"{value:.2f}"


def _classes(row: RankedStart, num_classes: int) -> str:
    value = row.evidence.class_overlap
    return "" if value is None else f"{round(value * num_classes)}/{num_classes}"


def _weights(row: RankedStart, num_classes: int) -> str:
    value = row.evidence.weights_transferred
    return "" if value is None else f"{value:.0%}"


# In the order in which a narrow terminal gives up the last first.
COLUMNS: tuple[Column, ...] = (
    Column(
        heading="may lose", meaning="what choosing it is expected to lose against the best start", cell=_loss
    ),
    Column(heading="vs scratch", meaning="expected gain over random weights", cell=_gain),
    Column(
        heading="similarity",
        meaning=f"of its training data to yours: 1 is alike, from {NOTHING_SIMILAR:.2f} on very similar",
        cell=_similarity,
    ),
    Column(heading="classes", meaning="how many of your classes it was trained on already", cell=_classes),
    Column(
        heading="weights",
        meaning="share of your model that its weights fill; the rest begins at random",
        cell=_weights,
    ),
)
