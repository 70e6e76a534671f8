"""Rows of the charts and tables on the pages."""

from __future__ import annotations

from recommender.evidence import ESTIMATORS
from recommender.records import RankedStart
from recommender.report.columns import COLUMNS
from recommender.report.inspection import InspectionDocument
from service.schemas.datasets import InspectionFailed

MEANINGS = {
    "expected": "the score after the full training, with the interval that holds 8 of 10 results",
    "best?": "chance that no other start ends better",
} | {column.heading: column.meaning for column in COLUMNS}
CLASSES_SHOWN = 20
EVIDENCE_NAMES = {
    "similarity": "similarity",
    "class_overlap": "classes known",
    "weights_transferred": "weights that transfer",
    **{row.name: row.label for row in ESTIMATORS},
    "source_images_seen": "your images seen before",
}


def balance_of(
    classes: tuple[str, ...], health: InspectionDocument | InspectionFailed | None
) -> list[tuple[str, int, float]]:
    """(class, boxes, share of the largest class) of the largest classes; none before an inspection."""
    if not isinstance(health, InspectionDocument):
        return []
    counts = [0] * len(classes)
    for split in health.splits:
        for i, count in enumerate(split.class_counts[: len(counts)]):
            counts[i] += count
    most = max(counts, default=0) or 1
    ordered = sorted(zip(classes, counts, strict=True), key=lambda item: -item[1])
    return [(name, count, count / most) for name, count in ordered[:CLASSES_SHOWN]]


def evidence_of(row: RankedStart) -> list[tuple[str, str]]:
    """(name, value) of the evidence of a start that was measured."""
    found = vars(row.evidence) | row.evidence.scores
    return [
        (words, f"{found[name]:.3g}") for name, words in EVIDENCE_NAMES.items() if found.get(name) is not None
    ]
