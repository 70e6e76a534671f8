"""The families among the models of ultralytics: one row for each kind of head that can be trained."""

from __future__ import annotations

from recommender.families.row import ModelFamily
from recommender.families.ultralytics.classify import CLASSIFY
from recommender.families.ultralytics.rtdetr import RTDETR
from recommender.families.ultralytics.segment import SEGMENT
from recommender.families.ultralytics.yolo import YOLO

FAMILIES: tuple[ModelFamily, ...] = (YOLO, RTDETR, SEGMENT, CLASSIFY)


def family_of_head(head: str) -> ModelFamily | None:
    """The row whose heads include this class name, None for the head of another task."""
    return next((row for row in FAMILIES if head in row.heads), None)
