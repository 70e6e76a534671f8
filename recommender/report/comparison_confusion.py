"""Confusion matrices as inline SVG, and the classes of a classification set as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from recommender.comparison.confusion import Confusion
from recommender.records import Start
from recommender.text import printable

MOST_CLASSES = 20  # that a drawing shows; above, its names and numbers cannot be read
MOST_PAIRS = 5  # of confused classes that are named for a start
SIDE = 420.0  # of the matrix, in the drawing's units
LABELS = 135.0  # room for the names of the classes
NAME_LIMIT = 16  # characters of a class name in the drawing


@dataclass(frozen=True, kw_only=True)
class ShownConfusion:
    """One start's confusions as the page shows them."""

    start: Start
    drawing: Markup | None  # None with too many classes
    pairs: tuple[str, ...]  # the most confused classes, in words


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class: its held-out images, and the accuracy of each start on them."""

    name: str
    images: int
    accuracies: tuple[float | None, ...]  # in the order of the starts


def shown_confusions(confusions: Sequence[Confusion], names: Sequence[str]) -> tuple[ShownConfusion, ...]:
    """The confusions of each start, as the page shows them."""
    return tuple(
        ShownConfusion(
            start=one.start,
            drawing=_matrix(one, names) if len(names) <= MOST_CLASSES else None,
            pairs=tuple(
                f"{printable(names[pair.true])} taken for {printable(names[pair.predicted])}: {pair.share:.0%}"
                for pair in one.most_confused(MOST_PAIRS)
            ),
        )
        for one in confusions
    )


def class_rows(
    confusions: Sequence[Confusion], names: Sequence[str], images: Sequence[int]
) -> tuple[ClassRow, ...]:
    """A row for each class, the one that the first start knows least first; `images` counts each class's."""
    by_start = [one.accuracies() for one in confusions]
    rows = [
        ClassRow(name=name, images=images[i], accuracies=tuple(own[i] for own in by_start))
        for i, name in enumerate(names)
    ]
    return tuple(
        sorted(
            rows,
            key=lambda row: 2.0 if not row.accuracies or row.accuracies[0] is None else row.accuracies[0],
        )
    )


def _matrix(confusion: Confusion, names: Sequence[str]) -> Markup:
    """True classes downwards, guesses across; the darker a cell, the larger its share of the true class."""
    counts_CC = confusion.counts_CC
    size = SIDE / len(names)
    parts = [
        Markup('<rect class="cell" x="{:g}" y="0" width="{:g}" height="{:g}"/>').format(LABELS, SIDE, SIDE)
    ]
    for true, row in enumerate(counts_CC):
        images = int(row.sum())
        for guess, count in enumerate(row.tolist()):
            if count:
                parts.append(_cell(true, guess, count, count / images, size))
    for i, name in enumerate(names):
        short, middle = printable(name, limit=NAME_LIMIT), (i + 0.5) * size
        parts.append(
            Markup('<text x="{:g}" y="{:.1f}" text-anchor="end">{}</text>').format(
                LABELS - 6, middle + 4, short
            )
        )
        x, y = LABELS + middle + 4, SIDE + 8
        parts.append(
            Markup(
                '<text transform="translate({:.1f} {:.1f}) rotate(-90)" text-anchor="end">{}</text>'
            ).format(x, y, short)
        )
    return Markup(
        '<svg class="matrix" viewBox="0 0 {:g} {:g}" role="img" aria-label="Confusion matrix of {}">{}</svg>'
    ).format(LABELS + SIDE + 2, SIDE + LABELS + 10, printable(confusion.start), Markup("").join(parts))


def _cell(true: int, guess: int, count: int, share: float, size: float) -> Markup:
    x, y = LABELS + guess * size, true * size
    cell = Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill-opacity="{:.2f}"/>'
    ).format("right" if true == guess else "wrong", x, y, size, size, 0.15 + 0.85 * share)
    number = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
        "on" if share > 0.5 else "off", x + size / 2, y + size / 2 + 4, count
    )
    return cell + number
