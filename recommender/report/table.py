"""The ranked table people see: where each start is expected to end, how sure that is, and why."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from recommender.records import SCRATCH, Interval, RankedStart, Recommendation
from recommender.text import printable

BAR_WIDTH, NARROW_BAR_WIDTH = 24, 12  # characters
MAX_NAME = 28  # characters
NUMBERS, GAIN, FACTS = 45, 13, 31  # what parts of the table take beside names and bars
EXPLAINED = 3  # leaders whose reasons are spelt out


def print_recommendation(recommendation: Recommendation, console: Console) -> None:
    """Draw the whole answer on `console`."""
    console.print(_head(recommendation))
    console.print(_ranking(recommendation, console.width))
    console.print(_why(recommendation))
    for notice in recommendation.warnings:
        message = printable(notice.message, limit=1000)
        console.print(Text.assemble(("! ", "bold yellow"), (f"{notice.code}: ", "yellow"), message))
    if recommendation.verdict is not None:
        console.print(Text(printable(recommendation.verdict, limit=1000)))
    console.print(_next_step(recommendation))


def _head(recommendation: Recommendation) -> RenderableType:
    profile, budget = recommendation.profile, recommendation.budget
    counts = profile.num_images
    held_back = f" + {counts.test} test" if counts.test else ""
    return Text.assemble(
        ("\n" + printable(profile.dataset_name), "bold"),
        f"  {counts.train} train + {counts.val} val{held_back} images, {profile.num_objects:,} boxes, "
        f"{len(profile.class_names)} classes; full training of {budget.epochs} epochs at {budget.imgsz} px\n",
        (f"forecast from {recommendation.method}", "dim"),
    )


def _ranking(recommendation: Recommendation, width: int) -> RenderableType:
    rows = recommendation.ranking
    top = max((row.score.high for row in rows), default=1.0) or 1.0
    bar_width, gain, roomy = _layout(rows, width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column(
        "start from",
        no_wrap=True,
        max_width=min(MAX_NAME, max(4, width - NUMBERS - bar_width)),
        overflow="ellipsis",
    )
    table.add_column("mode", no_wrap=True)
    table.add_column(f"expected mAP50-95, 0 to {top:.2f}", no_wrap=True)
    table.add_column("best?", justify="right", no_wrap=True)
    if gain:
        table.add_column("vs scratch", justify="right", no_wrap=True)
    for heading in ("likeness", "classes", "weights") if roomy else ():
        table.add_column(heading, justify="right", no_wrap=True)
    classes = len(recommendation.profile.class_names)
    for row in rows:
        table.add_row(
            str(row.rank),
            Text(printable(row.start.checkpoint)),
            row.start.mode,
            _bar(row.score, top, bar_width),
            f"{row.p_best:.0%}",
            *([f"{row.gain_over_scratch.mean:+.2f}" if row.start.mode != "scratch" else ""] if gain else []),
            *(_facts(row, classes) if roomy else ()),
            style="bold" if row.rank == 1 else "",
        )
    return table


def _layout(rows: Sequence[RankedStart], width: int) -> tuple[int, bool, bool]:
    """How wide the bars are, and whether the gain over scratch and the facts show: the most that fits the width."""
    name = min(MAX_NAME, max((len(printable(row.start.checkpoint)) for row in rows), default=0))
    name = max(name, len("start from"))
    for bar_width, facts in (
        (BAR_WIDTH, FACTS),
        (NARROW_BAR_WIDTH, FACTS),
        (BAR_WIDTH, 0),
        (NARROW_BAR_WIDTH, 0),
    ):
        if NUMBERS + GAIN + facts + name + bar_width <= width:
            return bar_width, True, facts > 0
    return NARROW_BAR_WIDTH, False, False


def _facts(row: RankedStart, num_classes: int) -> tuple[str, str, str]:
    evidence = row.evidence
    likeness = "" if evidence.similarity is None else f"{evidence.similarity:.2f}"
    known = (
        ""
        if evidence.class_overlap is None
        else f"{round(evidence.class_overlap * num_classes)}/{num_classes}"
    )
    weights = "" if evidence.weights_transferred is None else f"{evidence.weights_transferred:.0%}"
    return likeness, known, weights


def _why(recommendation: Recommendation) -> RenderableType:
    """The reasons of the leaders and of scratch, one start a line."""
    explained = [r for r in recommendation.ranking if r.rank <= EXPLAINED or r.start.checkpoint == SCRATCH]
    lines = Table.grid(padding=(0, 1))
    lines.add_column(justify="right", style="dim")
    lines.add_column(overflow="fold")
    for row in explained:
        lines.add_row(str(row.rank), Text.assemble((printable(str(row.start)), "bold"), ": ", _said(row)))
    return Group(lines, Text())


def _said(row: RankedStart) -> str:
    said = list(row.reasons)
    if not row.available:
        said.insert(0, "not on this machine yet")
    if row.trial is not None and row.trial.best is not None:
        said.insert(0, f"trial reached {row.trial.best.score:.3f} in {len(row.trial.curve)} epochs")
    return "; ".join(printable(reason) for reason in said)


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
    numbers = f" {interval.mean:.2f} ({interval.low:.2f}–{interval.high:.2f})"
    return Text.assemble((interval_bar(interval, top, width), "cyan"), numbers)


def _next_step(recommendation: Recommendation) -> RenderableType:
    first = recommendation.ranking[0]
    words = Group(
        Text.assemble(
            "Start from ",
            (printable(str(first.start)), "bold"),
            f": best with a probability of {first.p_best:.0%}.",
        ),
        Text(recommendation.command, style="green", overflow="fold"),
    )
    return Padding(Panel(words, title="next", title_align="left", expand=False), (1, 0, 0, 0))
