"""Accuracy against what it costs, as inline SVG: intervals as bars, the front as a line, the user's limit as another.

The one drawing of the page of an answer, of the service's page and of docs/choosing.md. It takes its colour from the
text around it and needs no style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from recommender.costs.start_costs import compared_by, front
from recommender.forecast.rules import trained_on_target
from recommender.records import RankedStart, Recommendation
from recommender.report.charts import Frame, ticks_of
from recommender.tasks import task_definition
from recommender.text import printable

WIDTH, HEIGHT = 640.0, 360.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 16.0, 48.0
ROUND = (1.0, 2.0, 5.0)  # ticks of a logarithmic axis, times powers of ten


@dataclass(frozen=True, kw_only=True)
class CostPoint:
    """One start. `low` and `high` are None for a start that is not in the ranking."""

    label: str
    cost: float
    score: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class CostAxis:
    """The cost drawn: its title with the unit, and the limit asked for."""

    title: str
    limit: float | None


def cost_picture(recommendation: Recommendation) -> Markup | None:
    """An answer against the cost that starts are compared by; None where no cost is known or all are the same."""
    name = compared_by(recommendation.ranking)
    axis = _axis(recommendation, name)
    points = [
        *(
            _ranked(row, value)
            for row in recommendation.ranking
            if (value := getattr(row, name)) is not None and not trained_on_target(row.evidence)
        ),
        *(
            CostPoint(
                label=f"{one.start} at {one.imgsz} px", cost=value, score=one.score, low=None, high=None
            )
            for one in recommendation.folded
            if (value := getattr(one, name)) is not None
        ),
    ]
    points = [point for point in points if point.cost > 0]
    if len({round(point.cost, 6) for point in points}) < 2:
        return None
    label = f"expected {task_definition(recommendation.task).metric.label}"
    return draw(points, axis, y_title=label)


def draw(points: Sequence[CostPoint], axis: CostAxis, *, y_title: str) -> Markup:
    """The SVG of these points, of which at least two differ in cost."""
    frame = _frame_of(points, axis)
    ranked = [one for one in points if one.low is not None]  # the starts that the table marks, no others
    leading = [ranked[i] for i in front([(one.score, one.cost) for one in ranked])]
    leading.sort(key=lambda one: one.cost)
    parts = [_axes(frame, axis, y_title), _limit(frame, axis)]
    parts += [_point(frame, one, first=one in leading) for one in points]
    parts += [_front(frame, leading)]
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:g} {1:g}" role="img" width="{0:g}" height="{1:g}">'
        '<title>{2} against {3}</title><g font-family="system-ui, sans-serif" font-size="12">{4}</g></svg>'
    ).format(WIDTH, HEIGHT, y_title, axis.title, Markup("").join(parts))


def _axis(recommendation: Recommendation, name: str) -> CostAxis:
    on = recommendation.device or "the device"
    return {
        "latency_ms": CostAxis(
            title=f"latency of one image, ms, on {on}", limit=recommendation.max_latency_ms
        ),
        "hours": CostAxis(title="hours of the full training", limit=recommendation.max_hours),
        "flops_b": CostAxis(title="10⁹ operations for one image", limit=recommendation.max_flops_b),
    }[name]


def _ranked(row: RankedStart, cost: float) -> CostPoint:
    size = f" at {row.imgsz} px" if row.imgsz else ""
    return CostPoint(
        label=f"{row.start}{size}", cost=cost, score=row.score.mean, low=row.score.low, high=row.score.high
    )


def _frame_of(points: Sequence[CostPoint], axis: CostAxis) -> Frame:
    costs = [point.cost for point in points] + ([axis.limit] if axis.limit else [])
    top = max([0.05, *(point.high or point.score for point in points)]) * 1.05
    lowest = min(point.score if point.low is None else point.low for point in points)
    return Frame(
        size=(WIDTH, HEIGHT),
        margins=(LEFT, RIGHT, TOP, BOTTOM),
        low=min(costs) / 1.3,
        high=max(costs) * 1.3,
        top=top,
        floor=max(tick for tick in ticks_of(0.0, top) if tick <= max(lowest, 0.0)),
        log=True,
    )


def _cost_ticks(frame: Frame) -> list[float]:
    decades = range(math.floor(math.log10(frame.low)), math.ceil(math.log10(frame.high)) + 1)
    return [r * 10.0**d for d in decades for r in ROUND if frame.low <= r * 10.0**d <= frame.high]


def _axes(frame: Frame, axis: CostAxis, y_title: str) -> Markup:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [_line(LEFT, bottom, right, bottom)]
    for tick in ticks_of(frame.floor, frame.top):
        y = frame.y(tick)
        parts.append(_line(LEFT, y, right, y, opacity=0.15))
        parts.append(_text(LEFT - 6, y + 4, f"{tick:g}", anchor="end"))
    for tick in _cost_ticks(frame):
        x = frame.x(tick)
        parts.append(_line(x, bottom, x, bottom + 5))
        parts.append(_text(x, bottom + 18, f"{tick:,g}"))
    parts.append(_text((LEFT + right) / 2, HEIGHT - 8, axis.title))
    parts.append(
        Markup(
            '<text fill="currentColor" transform="translate(14 {:g}) rotate(-90)" text-anchor="middle">{}</text>'
        ).format((TOP + bottom) / 2, y_title)
    )
    return Markup("").join(parts)


def _limit(frame: Frame, axis: CostAxis) -> Markup:
    if not axis.limit:
        return Markup("")
    x = frame.x(axis.limit)
    dashed = _line(x, TOP, x, HEIGHT - BOTTOM, dash="6 4", opacity=0.8)
    return dashed + _text(x - 4, TOP + 12, f"your limit, {axis.limit:g}", anchor="end")


def _point(frame: Frame, point: CostPoint, *, first: bool) -> Markup:
    x, y = frame.x(point.cost), frame.y(point.score)
    parts = [Markup("<title>{}: {}</title>").format(printable(point.label), f"{point.score:.3f}")]
    if point.low is not None and point.high is not None:
        parts.append(_line(x, frame.y(point.low), x, frame.y(point.high), opacity=0.8 if first else 0.25))
    fill = "currentColor" if point.low is not None else "none"
    radius = 5 if first else 3
    return Markup('<g>{}<circle cx="{:.1f}" cy="{:.1f}" r="{}" fill="{}" stroke="currentColor"/></g>').format(
        Markup("").join(parts), x, y, radius, fill
    )


def _front(frame: Frame, leading: Sequence[CostPoint]) -> Markup:
    """The line through the starts that no other matches for as little; the name of its first below, its last above."""
    path = " ".join(f"{frame.x(one.cost):.1f},{frame.y(one.score):.1f}" for one in leading)
    parts = [
        Markup('<polyline points="{}" fill="none" stroke="currentColor" stroke-width="2"/>').format(path)
    ]
    for one in dict.fromkeys((leading[0], leading[-1])):
        x = frame.x(one.cost)
        anchor = "start" if x < WIDTH / 2 else "end"
        shift = 9 if anchor == "start" else -9
        drop = -9 if one is leading[-1] else 17  # so that neither name covers the other
        parts.append(_text(x + shift, frame.y(one.score) + drop, printable(one.label), anchor=anchor))
    return Markup("").join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, *, opacity: float = 1.0, dash: str = "none") -> Markup:
    return Markup(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="currentColor" stroke-opacity="{:g}" '
        'stroke-dasharray="{}"/>'
    ).format(x1, y1, x2, y2, opacity, dash)


def _text(x: float, y: float, text: str, *, anchor: str = "middle") -> Markup:
    # The halo keeps points behind a word from crossing it.
    return Markup(
        '<text fill="currentColor" paint-order="stroke" stroke="Canvas" stroke-width="3" x="{:.1f}" y="{:.1f}" '
        'text-anchor="{}">{}</text>'
    ).format(x, y, anchor, text)
