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

MARKS = {"ok": Text("✓", "green"), "note": Text("!", "yellow"), "bad": Text("✗", "red")}


def doctor(
    address: Annotated[
        str | None, typer.Option(metavar="auto|ray://…|http://…", help="Ray cluster to look at.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, safety switches, store, weights, offline readiness, cluster and service settings."""
    from recommender.cli.checks import all_results

    findings = list(all_results(address))
    bad = any(finding.state == "bad" for _, finding in findings)
    if as_json:
        listed = [{"part": part, **asdict(finding)} for part, finding in findings]
        print_json({"healthy": not bad, "findings": listed})
    else:
        table = Table.grid(padding=(0, 2))
        for part, finding in findings:
            remedy = f"\n{printable(finding.remedy)}" if finding.remedy else ""
            said = Text(printable(finding.said, limit=600) + remedy, overflow="fold")
            table.add_row(MARKS[finding.state], part, said)
        out().print(table)
    if bad:
        raise typer.Exit(1)
