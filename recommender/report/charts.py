"""Line charts as inline SVG: no script, no network. Colours, dashes and light or dark come from the page's style.

A series is told apart three ways, by colour, dash and marker, so that neither colour blindness nor a black and white
print loses it. A drawing is 460 units wide: near one to one on a phone, so that its text stays readable there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 460.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 12.0, 14.0, 50.0
NUM_STYLES = 8  # in the page's style; further series begin again
NUM_TICKS = 5
MAX_MARKERS = 9  # along one line
Point = tuple[float, float]
# The corners of each style's marker around its place.
MARKERS: tuple[tuple[Point, ...], ...] = (
    (),  # a circle
    ((-4, -4), (4, -4), (4, 4), (-4, 4)),
    ((0, -5), (4.8, 4), (-4.8, 4)),
    ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
    ((0, 5), (4.8, -4), (-4.8, -4)),
    ((-5, -2), (-2, -2), (-2, -5), (2, -5), (2, -2), (5, -2), (5, 2), (2, 2), (2, 5), (-2, 5), (-2, 2), (-5, 2)),
    ((0, -5.5), (1.6, -1.6), (5.5, 0), (1.6, 1.6), (0, 5.5), (-1.6, 1.6), (-5.5, 0), (-1.6, -1.6)),
    ((-5, -3), (5, -3), (5, 3), (-5, 3)),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line. `band_X` holds (x, low, high)."""

    label: str
    style: int
    points_X: tuple[Point, ...]
    band_X: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Titles of the axes, units included."""

    x_label: str
    y_label: str
    log_x: bool = False
    x_ticks: tuple[float, ...] = ()  # none: chosen here
    x_from_zero: bool = True


def line_chart(series: Sequence[Series], axes: Axes, *, title: str) -> Markup:
    """The drawing; `title` is what a screen reader says."""
    frame = _frame_of(series, axes)
    parts = [_grid(frame, axes)]
    parts += [_band(frame, one) for one in series if one.band_X]
    parts += [_line(frame, one) for one in series]
    return Markup('<svg class="chart" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup("").join(parts)
    )


def swatch(style: int) -> Markup:
    """The line and marker of a style, for a legend."""
    line = Markup('<line class="line s{}" x1="1" x2="35" y1="8" y2="8"/>').format(style)
    return Markup(
        '<svg class="swatch" width="36" height="16" viewBox="0 0 36 16" aria-hidden="true">{}{}</svg>'
    ).format(line, _marker(18.0, 8.0, style))


def ticks_of(low: float, high: float) -> tuple[float, ...]:
    """Round numbers within [low, high], about `NUM_TICKS` of them."""
    span = high - low
    if not span > 0:
        return (low,)
    raw = span / NUM_TICKS
    step = next(
        factor * 10 ** math.floor(math.log10(raw))
        for factor in (1, 2, 2.5, 5, 10)
        if factor * 10 ** math.floor(math.log10(raw)) >= raw * 0.999
    )
    first = math.ceil(low / step - 1e-9)
    return tuple(round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1))


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Maps data to drawing units: y from `floor` to `top`, x from `low` to `high`, in the middle where it is one."""

    size: tuple[float, float] = (WIDTH, HEIGHT)
    margins: tuple[float, float, float, float] = (LEFT, RIGHT, TOP, BOTTOM)
    low: float
    high: float
    top: float
    floor: float = 0.0
    log: bool = False

    def x(self, value: float) -> float:
        """The place of a value across."""
        low, high, at = (math.log(one) if self.log else one for one in (self.low, self.high, value))
        left, right, _, _ = self.margins
        return left + (self.size[0] - left - right) * ((at - low) / (high - low) if high > low else 0.5)

    def y(self, value: float) -> float:
        """The place of a value downwards; what lies beyond the axis is drawn at its end."""
        _, _, top, bottom = self.margins
        height = self.size[1]
        share = (value - self.floor) / (self.top - self.floor)
        return height - bottom - (height - top - bottom) * max(0.0, min(share, 1.0))


def _frame_of(series: Sequence[Series], axes: Axes) -> Frame:
    xs = [x for one in series for x, _ in one.points_X] or [0.0, 1.0]
    ys = [y for one in series for _, y in one.points_X] + [high for o in series for _, _, high in o.band_X]
    room = 1.15 if axes.log_x else 1.0  # at both ends, for the markers
    return Frame(
        low=0.0 if axes.x_from_zero and not axes.log_x else min(xs) / room,
        high=max(xs) * room,
        top=max([*ys, 0.01]) * 1.06,
        log=axes.log_x,
    )


def _grid(frame: Frame, axes: Axes) -> Markup:
    parts = []
    left, right, bottom = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in ticks_of(0.0, frame.top):
        y = frame.y(tick)
        parts.append(
            Markup(
                '<line class="grid" x1="{:g}" x2="{:g}" y1="{:.1f}" y2="{:.1f}"/>'
                '<text class="tick" x="{:g}" y="{:.1f}" text-anchor="end">{:g}</text>'
            ).format(left, right, y, y, left - 6, y + 4, tick)
        )
    for tick in _apart(frame, axes.x_ticks or ticks_of(frame.low, frame.high)):
        x = frame.x(tick)
        parts.append(
            Markup(
                '<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{:g}" y2="{:g}"/>'
                '<text class="tick" x="{:.1f}" y="{:g}" text-anchor="middle">{}</text>'
            ).format(x, x, bottom, bottom + 5, x, bottom + 19, f"{tick:,.10g}")
        )
    parts.append(
        Markup(
            '<line class="axis" x1="{:g}" x2="{:g}" y1="{:g}" y2="{:g}"/>'
            '<text class="label" x="{:g}" y="{:g}" text-anchor="middle">{}</text>'
            '<text class="label" transform="translate(14 {:g}) rotate(-90)" text-anchor="middle">{}</text>'
        ).format(
            left,
            right,
            bottom,
            bottom,
            (left + right) / 2,
            HEIGHT - 8,
            axes.x_label,
            (TOP + bottom) / 2,
            axes.y_label,
        )
    )
    return Markup("").join(parts)


def _apart(frame: Frame, ticks: Sequence[float]) -> list[float]:
    """The ticks whose numbers do not run into each other."""
    kept: list[float] = []
    for tick in sorted(ticks):
        half = 4.0 * len(f"{tick:,.10g}") + 4.0
        if not kept or frame.x(tick) - frame.x(kept[-1]) > half + 4.0 * len(f"{kept[-1]:,.10g}") + 4.0:
            kept.append(tick)
    return kept


def _band(frame: Frame, one: Series) -> Markup:
    upper = [f"{frame.x(x):.1f},{frame.y(high):.1f}" for x, _, high in one.band_X]
    lower = [f"{frame.x(x):.1f},{frame.y(max(low, 0.0)):.1f}" for x, low, _ in reversed(one.band_X)]
    return Markup('<polygon class="band s{}" points="{}"/>').format(
        one.style % NUM_STYLES, " ".join(upper + lower)
    )


def _line(frame: Frame, one: Series) -> Markup:
    points = [(frame.x(x), frame.y(y)) for x, y in one.points_X]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    every = max(1, -(-len(points) // MAX_MARKERS))
    # Each series begins its markers elsewhere, so that lines that run together keep theirs apart.
    marked = points[(one.style % every) :: every] if len(points) > 1 else points
    markers = Markup("").join(_marker(x, y, one.style % NUM_STYLES) for x, y in marked)
    return Markup('<g><title>{}</title><polyline class="line s{}" points="{}"/>{}</g>').format(
        escape(one.label), one.style % NUM_STYLES, path, markers
    )


def _marker(x: float, y: float, style: int) -> Markup:
    """A shape of its own for every style."""
    shape = MARKERS[style % len(MARKERS)]
    if not shape:
        return Markup('<circle class="mark s{}" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(style, x, y)
    corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in shape)
    return Markup('<polygon class="mark s{}" points="{}"/>').format(style, corners)
