"""`recommend doctor`: is everything in place, and what to do where it is not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from recommender.cli.console import out, print_json
from recommender.cli.options import AsJson
from recommender.text import printable

MARKS = {"ok": "[green]✓[/green]", "note": "[yellow]![/yellow]", "bad": "[red]✗[/red]"}


def doctor(
    address: Annotated[
        str | None, typer.Option(metavar="auto|ray://…|http://…", help="Ray cluster to look at.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, safety switches, store, weights, offline readiness, cluster and service settings."""
    from recommender.cli.checks import all_results

    findings = list(all_results(address))
    bad = any(finding.state == "bad" for finding in findings)
    if as_json:
        document = {"healthy": not bad, "findings": [asdict(finding) for finding in findings]}
        print_json(document)
    else:
        table = Table.grid(padding=(0, 2))
        for finding in findings:
            said = printable(finding.said, limit=600) + (
                f"\n{printable(finding.remedy)}" if finding.remedy else ""
            )
            table.add_row(MARKS[finding.state], finding.part, Text(said, overflow="fold"))
        out().print(table)
    if bad:
        raise typer.Exit(1)
