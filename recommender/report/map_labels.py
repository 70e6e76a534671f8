"""Placement of labels on a map of data sets without overlaps; names without room are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recommender.text import printable

LEFT, TOP, WIDTH, HEIGHT = 40, 30, 560, 340  # of the area in which data sets lie
VIEW_WIDTH, VIEW_HEIGHT = 640, 400
MOST_CHARS = 22
Box = tuple[float, float, float, float]  # left, top, right, bottom


class MapPlace(Protocol):
    """One data set; `x` and `y` within [0, 1]. Read only."""

    @property
    def hash(self) -> str:
        """Its content hash."""

    @property
    def name(self) -> str:
        """Its name, as users wrote it."""

    @property
    def x(self) -> float:
        """Its place across."""

    @property
    def y(self) -> float:
        """Its place downwards."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """One name as SVG text."""

    text: str
    x: float
    y: float
    anchor: str
    is_target: bool


def labels(places: Sequence[MapPlace], target: str) -> tuple[Label, ...]:
    """Labels for as many data sets as there is room for, the target's first."""
    ordered = sorted(places, key=lambda place: (place.hash != target, place.hash))
    taken: list[Box] = [_dot(place) for place in places]
    placed = []
    for place in ordered:
        is_target = place.hash == target
        text = printable(place.name, limit=MOST_CHARS)
        for x, y, anchor in _positions(place, is_target):
            box = _box(text, x, y, anchor, 16.5 if is_target else 13)  # drawn at 15, but bold
            if _inside(box) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                placed.append(
                    Label(text=text, x=round(x, 1), y=round(y, 1), anchor=anchor, is_target=is_target)
                )
                break
    return tuple(placed)


def _positions(place: MapPlace, is_target: bool) -> tuple[tuple[float, float, str], ...]:
    x, y = LEFT + WIDTH * place.x, TOP + HEIGHT * place.y
    gap = 14 if is_target else 10
    return (
        (x + gap, y + 4, "start"),
        (x - gap, y + 4, "end"),
        (x, y - gap, "middle"),
        (x, y + gap + 11, "middle"),
        (x + gap, y - 8, "start"),
        (x + gap, y + 17, "start"),
        (x - gap, y - 8, "end"),
        (x - gap, y + 17, "end"),
    )


def _box(text: str, x: float, y: float, anchor: str, size: float) -> Box:
    width = 0.58 * size * len(text)
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    return left, y - 0.8 * size, left + width, y + 0.25 * size


def _dot(place: MapPlace) -> Box:
    x, y = LEFT + WIDTH * place.x, TOP + HEIGHT * place.y
    return x - 6, y - 6, x + 6, y + 6


def _inside(box: Box) -> bool:
    return box[0] >= 2 and box[1] >= 2 and box[2] <= VIEW_WIDTH - 2 and box[3] <= VIEW_HEIGHT - 2


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
