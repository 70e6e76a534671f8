"""Starts as text: a checkpoint's name and a mode. Imports nothing heavy, since requests import it."""

from __future__ import annotations

from typing import Literal

from recommender.errors import UsageError

Mode = Literal["full", "freeze", "scratch"]
MODES: tuple[Mode, ...] = ("full", "freeze", "scratch")
FreezeDepth = Literal["none", "stem", "backbone", "neck"]  # frozen up to the end of this part
DEPTHS_OF_MODE: dict[Mode, tuple[FreezeDepth, ...]] = {
    "full": ("none", "stem"),
    "freeze": ("backbone", "neck"),
    "scratch": ("none",),
}  # the mode's own depth first
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


def with_depth(start: str, depth: FreezeDepth | None) -> tuple[str, FreezeDepth | None]:
    """A start as text with the mode that goes with a freeze depth, and the depth where it is not the mode's own.

    Raises UsageError where the start names another mode.
    """
    if depth is None:
        return start, None
    name, mode = split_start(start)
    fitting = next(one for one, depths in DEPTHS_OF_MODE.items() if depth in depths)
    if depth not in DEPTHS_OF_MODE[mode or fitting]:
        raise UsageError(
            f"Start {start!r} cannot be trained with freeze {depth!r}.",
            remedy="Random weights are trained whole: leave freeze out."
            if mode == "scratch"
            else f"{name} alone, or {name}:{fitting}, goes with it.",
        )
    own = depth == DEPTHS_OF_MODE[mode or fitting][0]
    return (start if mode else f"{name}:{fitting}"), (None if own else depth)
