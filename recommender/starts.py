"""Starts as text: a checkpoint's name and a mode. Imports nothing heavy, since requests import it."""

from __future__ import annotations

from typing import Literal

from recommender.errors import UsageError

Mode = Literal["full", "freeze", "scratch"]
MODES: tuple[Mode, ...] = ("full", "freeze", "scratch")
SCRATCH = "scratch"  # the name of "no checkpoint" wherever a checkpoint is named


def split_start(text: str) -> tuple[str, Mode | None]:
    """Split "NAME:MODE", "NAME" or "scratch"; the mode is None where none is named.

    Raises UsageError for an unknown mode, and for a mode that does not go with the name.
    """
    name, colon, last = text.strip().rpartition(":")
    if not colon:
        return (SCRATCH, "scratch") if last.casefold() == SCRATCH else (last, None)
    name = SCRATCH if name.casefold() == SCRATCH else name
    mode = next((known for known in MODES if known == last.casefold()), None)
    if mode is None or not name or (mode == "scratch") != (name == SCRATCH):
        raise UsageError(
            f"Start {text!r} is not understood.",
            remedy="Write CHECKPOINT:full, CHECKPOINT:freeze or scratch, for instance coco:full.",
        )
    return name, mode
