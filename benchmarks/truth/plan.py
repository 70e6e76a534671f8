"""The runs that make the ground truth, in the order of their worth: a table cut off anywhere is of use."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.truth import plan_classify, plan_detect, plan_segment
from benchmarks.truth.entries import RANDOM_SUFFIX, Entry

SMALL_PARTS = ("first", "width", "surface", "sizes")
# Never shipped, each in a ledger of its own: on these the forecast is judged and learns nothing.
HELD_OUT = ("few", "budgets")
PARTS = plan_detect.PARTS | plan_classify.PARTS | plan_segment.PARTS


def plan(part: str | None = None) -> Iterator[Entry]:
    """Every run once, best first; `part` is one of PARTS, None is detection at small budgets."""
    seen: set[Entry] = set()
    for name in (part,) if part else SMALL_PARTS:
        for entry in PARTS[name]():
            own = entry.source is not None and entry.source.removesuffix(RANDOM_SUFFIX) == entry.target
            if not own and entry not in seen:
                seen.add(entry)
                yield entry
