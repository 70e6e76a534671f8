"""An attempt ends with the Ray node it was started on: once that is dead, another attempt does its work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

import psutil

CHECK_S = 1.0
RAYLET = "raylet"  # the name of Ray's process that stands for a node


def end_with_node(
    *, end: Callable[[], object] = lambda: os._exit(1), check_s: float = CHECK_S, raylet: str = RAYLET
) -> bool:
    """Call `end` once a process between this one and the node's raylet is gone.

    Returns whether there is a raylet among the parents; without one nothing is watched. Ray kills its workers, not
    what they have started, and its own watcher of jobs may be killed with the raylet.
    """
    watched = _up_to(raylet, psutil.Process().parents())
    if not watched:
        return False

    def watch() -> None:
        while all(_is_alive(process) for process in watched):
            time.sleep(check_s)
        end()

    threading.Thread(target=watch, daemon=True, name="orphans").start()
    return True


def _up_to(name: str, parents: Sequence[psutil.Process]) -> tuple[psutil.Process, ...]:
    """The parents from the nearest to the first of that name; none where there is no such parent."""
    for count, parent in enumerate(parents, start=1):
        try:
            if parent.name() == name:
                return tuple(parents[:count])
        except psutil.Error:
            continue
    return ()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
