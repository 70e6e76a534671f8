"""Every kind of fault a data set may have: how grave it is, what it is called, and its remedy.

The table is `defect_kinds.csv`. An `error` costs data: the row or the image is left out. A `warning` is worth a look:
a doubtful reading was decided, or a score will mislead. `info` is only told by `recommend datasets inspect`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, cast

Severity = Literal["info", "warning", "error"]


class Kind(NamedTuple):
    """One row of the table."""

    severity: Severity
    title: str  # singular, for "12 × title"
    remedy: str


def _table() -> dict[str, Kind]:
    lines = Path(__file__).with_suffix(".csv").read_text("utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {row["kind"]: Kind(cast(Severity, row["severity"]), row["title"], row["remedy"]) for row in rows}


KINDS: Mapping[str, Kind] = _table()
