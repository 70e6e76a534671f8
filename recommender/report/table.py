"""The answer in a terminal: four lines to act on, the table, what its columns mean, why, and what else to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from recommender.records import Cost, Interval, RankedStart, Recommendation
from recommender.report.columns import Column, columns_for
from recommender.report.document import as_published
from recommender.report.headline import (
    LABELS,
    UNSUPPORTED,
    UNSUPPORTED_CODE,
    Headline,
    about,
    headline,
    spread,
    trials_worth,
)
from recommender.report.notices import print_notices
from recommender.report.rows import DEFAULT_ROWS, ShownRows, highest_score, names_of, shown_rows
from recommender.tasks import task_definition
from recommender.text import counted, printable

BAR_WIDTH, NARROW_BAR_WIDTH = 24, 12  # characters
MAX_NAME = 28  # characters
OF_SIZES = ("px", "latency", "hours", "cost", "memory")  # the columns that differ from size to size
FIXED = 47  # what rank, mode, the numbers beside the bar and the chance take beside names and bars


def print_recommendation(
    recommendation: Recommendation,
    console: Console,
    *,
    limit: int | None = DEFAULT_ROWS,
    expand: bool = False,
) -> None:
    """Draw the answer on `console`, at most `limit` rows of the ranking; None draws all.

    `expand` shows every image size that was looked at below each start.
    """
    recommendation = as_published(recommendation)
    rows = shown_rows(recommendation.ranking, limit)
    _print_headline(headline(recommendation), console)
    if recommendation.verdict is not None:
        console.print(Text("\n" + printable(recommendation.verdict, limit=1000)))
    worth = trials_worth(recommendation)
    if worth is not None:
        console.print(Text(f"\n{worth} `recommend compare --start …` does both.", style="dim"))
    console.print(_about(recommendation))
    if not recommendation.level_supported:
        console.print(Text(UNSUPPORTED, style="yellow"))
    table, columns = _ranking(recommendation, rows.shown, console.width, expand=expand)
    console.print(table)
    _print_legend(recommendation, rows, columns, console)
    if expand:
        _print_omitted(recommendation, console)
    _print_why(recommendation.ranking[0], console)
    # That of an unsupported budget stands above the table.
    print_notices([one for one in recommendation.warnings if one.code != UNSUPPORTED_CODE], console)
    print_notices(recommendation.notes, console, mark="·")
    console.print(Text("\nThe same training with plain ultralytics:", style="dim"))
    console.print(Text(recommendation.command), soft_wrap=True)


def print_short(recommendation: Recommendation, console: Console) -> None:
    """The four lines and five rows alone."""
    recommendation = as_published(recommendation)
    _print_headline(headline(recommendation), console)
    table, _ = _ranking(recommendation, shown_rows(recommendation.ranking).shown, console.width)
    console.print(table)


def _print_headline(lines: Headline, console: Console) -> None:
    """A label and its line; the command is never broken, so that it can be copied."""
    console.print()
    for name, label in LABELS.items():
        style = {"start": "bold", "command": "green"}.get(name, "")
        text = Text.assemble((f"{label:<12}", "dim"), (getattr(lines, name), style))
        console.print(text, soft_wrap=name == "command")


def _about(recommendation: Recommendation) -> RenderableType:
    return Text.assemble(
        ("\n" + printable(recommendation.profile.dataset_name), "bold"), f": {about(recommendation)}"
    )


def _ranking(
    recommendation: Recommendation, rows: Sequence[RankedStart], width: int, *, expand: bool = False
) -> tuple[RenderableType, tuple[Column, ...]]:
    """The table, and the columns it has room for beyond the fixed ones."""
    num_classes = len(recommendation.profile.class_names)
    columns, bar_width = _layout(rows, width, num_classes)
    top = highest_score(rows)
    label = task_definition(recommendation.task).metric.label
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("#", justify="right", no_wrap=True)
    name = min(MAX_NAME, max(4, width - _taken(columns, rows, num_classes) - bar_width))
    table.add_column("start from", no_wrap=True, max_width=name, overflow="ellipsis")
    table.add_column("mode", no_wrap=True)
    table.add_column(f"expected {label}", no_wrap=True)
    table.add_column("best?", justify="right", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            str(row.rank),
            Text(printable(row.start.checkpoint)),
            row.start.mode,
            _bar(row.score, top, bar_width),
            f"{row.p_best:.0%}",
            *(column.cell(row, num_classes) for column in columns),
            style="bold" if row.rank == 1 else "",
        )
        for other in _other_sizes(row) if expand else ():
            cells = (column.cell(other, num_classes) for column in columns if column.heading in OF_SIZES)
            beyond = (
                "" if next(s for s in row.sizes if s.imgsz == other.imgsz).allowed else " beyond the limits"
            )
            table.add_row(
                "", "", "", f"{'':<{bar_width}} {other.score.mean:.2f}{beyond}", "", *cells, style="dim"
            )
    return table, columns


def _other_sizes(row: RankedStart) -> tuple[RankedStart, ...]:
    """The row as it would be at the image sizes that were not chosen."""
    return tuple(
        replace(
            row,
            imgsz=size.imgsz,
            score=replace(row.score, mean=size.score),
            **{field.name: getattr(size, field.name) for field in fields(Cost)},
        )
        for size in row.sizes
        if size.imgsz != row.imgsz
    )


def _layout(rows: Sequence[RankedStart], width: int, num_classes: int) -> tuple[tuple[Column, ...], int]:
    """The further columns and the width of the bars: the most columns that fit, then the widest bars."""
    name = min(MAX_NAME, max((len(printable(row.start.checkpoint)) for row in rows), default=0))
    name = max(name, len("start from"))
    wanted = columns_for(rows)
    for count in range(len(wanted), -1, -1):
        columns = wanted[:count]
        for bar_width in (BAR_WIDTH, NARROW_BAR_WIDTH):
            if _taken(columns, rows, num_classes) + name + bar_width <= width:
                return columns, bar_width
    return (), NARROW_BAR_WIDTH


def _taken(columns: Sequence[Column], rows: Sequence[RankedStart], num_classes: int) -> int:
    """The characters of a line beside the name and the bar: no cell is cut off."""
    return FIXED + sum(
        3 + max(len(column.heading), *(len(column.cell(row, num_classes)) for row in rows))
        for column in columns
    )


def _print_legend(
    recommendation: Recommendation, rows: ShownRows, columns: Sequence[Column], console: Console
) -> None:
    label = task_definition(recommendation.task).metric.label
    top = highest_score(rows.shown)
    said = {
        f"expected {label}": f"after the full training, with the 80 % interval; bars from 0 to {top:.2f}",
        "best?": "chance that no other start ends better",
    } | {column.heading: column.meaning for column in columns}
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(style="dim")
    for heading, meaning in said.items():
        grid.add_row(heading, meaning)
    console.print(grid)
    left_out = [column.heading for column in columns_for(rows.shown) if column not in columns]
    if left_out:
        said_so = f"Columns for which the terminal has no room: {', '.join(left_out)}. --html FILE shows all."
        console.print(Text(said_so, style="dim"))
    if rows.more:
        console.print(
            Text(
                f"{counted(len(rows.more), 'more start')}: --top {recommendation.decision.num_starts} shows all.",
                style="dim",
            )
        )
    if rows.on_these_images:
        names = ", ".join(map(printable, names_of(rows.on_these_images)))
        console.print(Text(f"Not in the table, since trained on these very images: {names}.", style="dim"))


def _print_omitted(recommendation: Recommendation, console: Console) -> None:
    """The starts that are not in the ranking: what is expected of each, and which row stands for it."""
    if not recommendation.folded:
        return
    grid = Table.grid(padding=(0, 2))
    for one in recommendation.folded:
        grid.add_row(
            Text(printable(one.start)),
            f"{one.score:.3f} at {one.imgsz} px",
            Text(f"instead {printable(one.instead)}, {one.instead_score:.3f}"),
            style="dim",
        )
    console.print(Text("\nNot in the table, to be fetched:", style="dim"))
    console.print(grid)


def _print_why(first: RankedStart, console: Console) -> None:
    """Print the reasons of the first start."""
    said = list(first.reasons)
    if not first.available:
        said.insert(0, "not on this machine yet")
    if first.trial is not None and first.trial.score is not None:
        said.insert(0, f"its trial reached {first.trial.score:.3f} in {counted(first.trial.epochs, 'epoch')}")
    reasons = "; ".join(printable(reason) for reason in said)
    console.print(Text.assemble(("\nWhy ", "dim"), (printable(first.start), "bold"), f": {reasons}.\n"))


def interval_bar(interval: Interval, top: float, width: int = BAR_WIDTH) -> str:
    """`├──●──┤` on an axis from 0 to `top`, `width` characters wide."""

    def column(value: float) -> int:
        return max(0, min(width - 1, round(value / top * (width - 1))))

    low, mean, high = column(interval.low), column(interval.mean), column(interval.high)
    cells = [" "] * width
    for i in range(low, high + 1):
        cells[i] = "─"
    cells[low], cells[high] = "├", "┤"
    cells[mean] = "●"
    return "".join(cells)


def _bar(interval: Interval, top: float, width: int) -> Text:
    return Text.assemble((interval_bar(interval, top, width), "cyan"), f" {spread(interval)}")
