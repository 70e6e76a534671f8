"""The callback by which long work reports progress. The pipeline passes one down; the CLI draws it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called from the thread that does the work; must be cheap and must not raise."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of `stage` are finished; total 0 means unknown."""


def silent(stage: str, done: int, total: int) -> None:
    """Report to nobody."""
