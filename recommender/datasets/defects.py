"""Faults of a data set, counted by kind while it is read. The kinds are in `defect_kinds.py`."""

from __future__ import annotations

from collections.abc import Iterable

from recommender.datasets.defect_kinds import KINDS
from recommender.records import Defect
from recommender.text import printable

MAX_EXAMPLES = 5


class DefectLog:
    """Collects faults while a data set is read. Not thread-safe: one log, one thread."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, where: str, what: str = "", *, count: int = 1) -> None:
        """Count a fault of `kind`; `where` is a path relative to the root, `what` the value found."""
        if kind not in KINDS:
            raise KeyError(kind)
        self._counts[kind] = self._counts.get(kind, 0) + count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(printable(f"{where}: {what}" if what else where, limit=200))

    def forget(self, kind: str) -> None:
        """Drop what was counted of a kind, where it turns out to be no fault."""
        self._counts.pop(kind, None)
        self._examples.pop(kind, None)

    def count(self, *kinds: str) -> int:
        """The number of defects of these kinds."""
        return sum(self._counts.get(kind, 0) for kind in kinds)

    def errors(self, prefix: str) -> dict[str, int]:
        """Counts of the kinds of severity error whose code starts so."""
        return {
            kind: count
            for kind, count in self._counts.items()
            if kind.startswith(prefix) and KINDS[kind].severity == "error"
        }

    def defects(self) -> tuple[Defect, ...]:
        """All that was counted, the worst first."""
        return worst_first(
            Defect(
                kind=kind,
                severity=KINDS[kind].severity,
                count=count,
                examples=tuple(self._examples[kind]),
                remedy=KINDS[kind].remedy,
            )
            for kind, count in self._counts.items()
        )


def worst_first(defects: Iterable[Defect]) -> tuple[Defect, ...]:
    """Defects sorted by severity, then count."""
    order = {"error": 0, "warning": 1, "info": 2}
    return tuple(sorted(defects, key=lambda defect: (order[defect.severity], -defect.count, defect.kind)))
