"""A comparison on a terminal: what it means, and the table."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recommender.comparison.comparison_input import ComparisonInput
from recommender.comparison.findings import Findings
from recommender.comparison.noise import SeedSpread
from recommender.comparison.summary import next_step
from recommender.tasks import task_definition
from recommender.text import printable


def print_comparison(comparison: ComparisonInput, findings: Findings, console: Console) -> None:
    """The three sentences, the noise, and the starts, best first."""
    for number, sentence in enumerate(findings.sentences, start=1):
        console.print(Text(f"{number}. {sentence}"))
    console.print(Text(findings.noise_sentence, style="dim"))
    following = next_step(comparison, findings.main)
    if following is not None:
        console.print(Text(f"Next: {following}"))
    task = task_definition(comparison.task)
    estimated = any(row.estimated_seconds for row in findings.rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("start", no_wrap=True)
    for title in (
        "data",
        "starting",
        task.metric.label,
        *(["with TTA"] if comparison.plan.tta else []),
        *(metric.label for metric in task.details),
        "to best",
        "seconds",
        *(["estimated"] if estimated else []),
    ):
        table.add_column(title, justify="right", no_wrap=True)
    for row in findings.rows:
        starting = row.starting.score
        own = " own" if row.starting.measured_on == "own domain" else ""
        table.add_row(
            Text(printable(row.start, limit=48)),
            f"{row.fraction:.0%}",
            "" if starting is None else f"{starting:.3f}{own}",
            _shown(row.score),
            *([_shown(row.tta) or "not possible"] if comparison.plan.tta else []),
            *(_shown(row.details.get(metric.name)) for metric in task.details),
            f"{row.epochs_to_best.mean:.0f}",
            f"{row.seconds.mean:.0f}",
            *([_whole(row.estimated_seconds)] if estimated else []),
        )
    console.print(table)
    scored = "held-out test" if comparison.held.is_held_out else "validation"
    spread = "; mean ± deviation over seeds" if comparison.plan.seeds > 1 else "; one seed"
    console.print(Text(f"{scored} images{spread}", style="dim"))


def _whole(spread: SeedSpread | None) -> str:
    return "" if spread is None else f"{spread.mean:.0f}"


def _shown(spread: SeedSpread | None) -> str:
    return "" if spread is None else spread.words()
