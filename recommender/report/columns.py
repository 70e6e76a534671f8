"""The columns of the ranked table beyond rank, start and forecast: heading, meaning and cell, for every form of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recommender.costs.training_memory import FRAMEWORK_MB
from recommender.profile import NOTHING_SIMILAR
from recommender.records import RankedStart
from recommender.text import shown, two_figures


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. `cell` takes a row and the number of the target's classes; unknown is empty."""

    heading: str
    meaning: str
    cell: Callable[[RankedStart, int], str]


def _classes(row: RankedStart, num_classes: int) -> str:
    value = row.evidence.class_overlap
    return "" if value is None else f"{round(value * num_classes)}/{num_classes}"


def _latency(row: RankedStart) -> str:
    if row.latency_ms is None:
        return ""
    return f"{'' if row.latency_basis == 'measured' else '~'}{row.latency_ms:.3g} ms"


def _memory(row: RankedStart) -> str:
    """Told where hours are: what the training takes, with the framework's own, as said where a training starts."""
    if row.hours is None or row.training_mb is None:
        return ""
    return f"~{two_figures((row.training_mb + FRAMEWORK_MB) / 1024)} GB"


def _front(row: RankedStart) -> str:
    told = bool(row.sizes) or row.latency_ms is not None
    return "●" if row.on_front and told else ""


# In the order in which a narrow terminal gives up the last first.
COLUMNS: tuple[Column, ...] = (
    Column(heading="px", meaning="image size it would be trained at",
           cell=lambda row, _: str(row.imgsz) if row.sizes else ""),  # one size for all stands above the table
    Column(heading="latency", meaning="of one image on the device; ~ is estimated from the nearest",
           cell=lambda row, _: _latency(row)),
    Column(heading="hours", meaning="of the full training",
           cell=lambda row, _: "" if row.hours is None else f"{two_figures(row.hours)} h"),
    Column(heading="cost", meaning="of the full training", cell=lambda row, _: shown(row.money, ".2f")),
    Column(heading="memory",
           meaning="of the full training on a GPU, in batches of 16, estimated; a frozen backbone needs less",
           cell=lambda row, _: _memory(row)),
    Column(heading="may lose", meaning="what choosing it is expected to lose against the best start",
           cell=lambda row, _: f"{row.expected_loss:.2f}"),
    Column(heading="vs scratch", meaning="expected gain over random weights",
           cell=lambda row, _: "" if row.start.mode == "scratch" else f"{row.gain_over_scratch.mean:+.2f}"),
    Column(heading="fetch", meaning="to be fetched first, about so large",
           cell=lambda row, _: "" if row.fetch_mb is None else f"{row.fetch_mb:.0f} MB"),
    Column(heading="front", meaning="● no other start reaches as much for less",
           cell=lambda row, _: _front(row)),
    Column(heading="similarity",
           meaning=f"of its training data to yours: 1 is alike, from {NOTHING_SIMILAR:.2f} on very similar",
           cell=lambda row, _: shown(row.evidence.similarity, ".2f")),
    Column(heading="classes", meaning="how many of your classes it was trained on already", cell=_classes),
    Column(heading="weights", meaning="share of your model that its weights fill; the rest begins at random",
           cell=lambda row, _: shown(row.evidence.weights_transferred, ".0%")),
)  # fmt: skip


OF_COST = ("px", "latency", "hours", "cost", "memory", "fetch", "front")


def cost_columns(rows: Sequence[RankedStart]) -> tuple[Column, ...]:
    """The columns that tell what a start costs."""
    return tuple(column for column in columns_for(rows) if column.heading in OF_COST)


def columns_for(rows: Sequence[RankedStart]) -> tuple[Column, ...]:
    """The columns that say something in any of these rows."""
    return tuple(column for column in COLUMNS if any(column.cell(row, 1) for row in rows))
