"""A comparison as one self-contained HTML page: no script, no network, prints well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from markupsafe import Markup

from recommender.comparison.comparison_input import ComparisonInput
from recommender.comparison.findings import Findings, curves_of
from recommender.comparison.noise import SeedSpread
from recommender.comparison.reasons import rates_tried, trainable_share
from recommender.comparison.summary import catch_up_text, next_step, size_text
from recommender.records import EpochMetrics, Start
from recommender.report.charts import NUM_STYLES, Axes, Point, Series, line_chart, swatch
from recommender.report.comparison_confusion import class_rows, shown_confusions
from recommender.report.comparison_pictures import Pixels, pictures_of
from recommender.report.page import environment
from recommender.tasks import Metric, TaskDefinition, task_definition
from recommender.text import printable

SCRATCH_STYLE = 0  # ink, dashed: the yardstick
Curves = Sequence[Sequence[EpochMetrics]]


def comparison_page(comparison: ComparisonInput, findings: Findings, pixels: Pixels) -> str:
    """The page's HTML; `pixels` reads the held-out images."""
    styles = styles_of(comparison.plan.starts)
    made = environment()
    made.filters.update(spread=_spread)
    return made.get_template("comparison.html").render(
        comparison=comparison,
        plan=comparison.plan,
        task=task_definition(comparison.task),
        findings=findings,
        next_step=next_step(comparison, findings.main),
        estimated=any(row.estimated_seconds for row in findings.rows),
        legend=[(printable(start), swatch(style)) for start, style in styles.items()],
        swatches={start: swatch(style) for start, style in styles.items()},
        charts=_charts(comparison, findings, styles),
        size_chart=_size_chart(findings, styles, task_definition(comparison.task).metric.label),
        catch_up=catch_up_text(findings.catching_up) if findings.catching_up else None,
        size_text=size_text(findings.sizes) if findings.sizes else None,
        modes=[
            (
                row,
                comparison.compared_start(row.start),
                trainable_share(comparison.compared_start(row.start)),
                rates_tried(comparison, row),
            )
            for row in findings.main
        ],
        forecast=_forecast(findings),
        pictures=pictures_of(comparison, findings, pixels),
        class_rows=class_rows(findings.confusions, comparison.plan.class_names, class_images(comparison))
        if findings.confusions
        else (),
        confusions=shown_confusions(findings.confusions, comparison.plan.class_names),
        best_value=max((row.score.mean for row in findings.main), default=0.0),
    )


def class_images(comparison: ComparisonInput) -> tuple[int, ...]:
    """Held-out images of each class of a classification set."""
    counted = Counter(scene.truth[0].label for scene in comparison.held.scenes)
    return tuple(counted[label] for label in range(len(comparison.plan.class_names)))


def styles_of(starts: Sequence[Start]) -> dict[Start, int]:
    """Colour, dash and marker of each start: scratch always has the first."""
    others = [start for start in starts if start.mode != "scratch"]
    styles = {start: SCRATCH_STYLE for start in starts if start.mode == "scratch"}
    return styles | {start: 1 + number % (NUM_STYLES - 1) for number, start in enumerate(others)}


def _charts(comparison: ComparisonInput, findings: Findings, styles: dict[Start, int]) -> tuple[Markup, ...]:
    """Learning curves at the largest share: of the task's metrics against epochs, of its first against seconds."""
    task = task_definition(comparison.task)
    drawn = (task.metric, *(metric for metric in task.details if metric.has_curve))
    y_labels = [f"{metric.label} on the validation images" for metric in drawn]
    runs = [(row.start, curves_of(comparison, row)) for row in findings.main]
    means = [[(start, _mean_curve(found, metric, task)) for start, found in runs] for metric in drawn]
    by_epoch = [[_series(start, styles, points) for start, points in rows] for rows in means]
    unit, scale = _time_unit([point.seconds for _, points in means[0] for point in points])
    by_second = [_series(start, styles, points, seconds_in=scale) for start, points in means[0]]
    return (
        *(
            line_chart(series, Axes(x_label="epoch", y_label=y_label), title=f"{metric.label} against epochs")
            for metric, series, y_label in zip(drawn, by_epoch, y_labels, strict=True)
        ),
        line_chart(
            by_second,
            Axes(x_label=f"training time ({unit})", y_label=y_labels[0]),
            title="Learning curves against time",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Mean:
    """A point of a mean curve."""

    epoch: float
    value: float
    deviation: float | None  # None of a single seed
    seconds: float


def _series(
    start: Start, styles: dict[Start, int], points: Sequence[_Mean], *, seconds_in: float | None = None
) -> Series:
    """The curve against epochs, or against seconds in such a unit."""
    placed = [(point.seconds / seconds_in if seconds_in else point.epoch, point) for point in points]
    return Series(
        label=printable(start),
        style=styles[start],
        points_X=tuple((x, point.value) for x, point in placed),
        band_X=tuple(
            (x, point.value - point.deviation, point.value + point.deviation)
            for x, point in placed
            if point.deviation is not None
        ),
    )


def _mean_curve(curves: Curves, metric: Metric, task: TaskDefinition) -> list[_Mean]:
    """The mean over seeds where every seed still trained."""
    found = []
    for points in zip(*curves, strict=False):
        values = [point.score if metric is task.metric else point.details[metric.name] for point in points]
        found.append(
            _Mean(
                epoch=float(points[0].epoch),
                value=fmean(values),
                deviation=stdev(values) if len(values) > 1 else None,
                seconds=fmean(point.seconds for point in points),
            )
        )
    return found


def _time_unit(seconds: Sequence[float]) -> tuple[str, float]:
    longest = max(seconds, default=0.0)
    return next(
        (unit, scale)
        for unit, scale, limit in (("s", 1.0, 600), ("min", 60.0, 36_000), ("h", 3600.0, float("inf")))
        if longest <= limit
    )


def _size_chart(findings: Findings, styles: dict[Start, int], y_label: str) -> Markup | None:
    """The score against the number of train images; None with a single size."""
    sizes = sorted({float(row.train_images) for row in findings.rows})
    if len(sizes) < 2:
        return None
    series = []
    for start, style in styles.items():
        rows = sorted((row for row in findings.rows if row.start == start), key=lambda row: row.train_images)
        if rows:
            points: tuple[Point, ...] = tuple((float(r.train_images), r.score.mean) for r in rows)
            band = tuple(
                (float(r.train_images), r.score.mean - d, r.score.mean + d)
                for r in rows
                if (d := r.score.deviation) is not None
            )
            series.append(Series(label=printable(start), style=style, points_X=points, band_X=band))
    axes = Axes(
        x_label="training images (logarithmic)",
        y_label=y_label,
        log_x=True,
        x_ticks=tuple(sizes),
        x_from_zero=False,
    )
    return line_chart(series, axes, title="Score against the number of training images")


def _forecast(findings: Findings) -> dict[str, Any]:
    outcomes = findings.forecast_error.outcomes
    highest = [one.expected.score.high for one in outcomes] + [
        one.outcome + (one.deviation or 0.0) for one in outcomes
    ]
    return {"top": max(highest, default=1.0) or 1.0, "rows": outcomes}


def _spread(spread: SeedSpread | None) -> str:
    return "not measured" if spread is None else spread.words()
