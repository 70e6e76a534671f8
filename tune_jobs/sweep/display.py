"""Displays of a sweep on stderr: a live table on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recommender.recipe_axes import DEFAULT, setting_of
from recommender.records import EpochMetrics
from recommender.text import counted, printable, sparkline
from tune_jobs.sweep.policy import SweepView, TrialView

CURVE_WIDTH = 20
MAX_ROWS = 24
DRAW_EVERY_S = 0.25
LINE_EVERY_S = 30.0  # a sign of life in a log, when nothing else happens


class Display(Protocol):
    """Shows a sweep. Called often, from the driver's thread; must be cheap and must not raise."""

    def show(self, view: SweepView) -> None:
        """Take in how it stands now."""


class Silent:
    """Shows nothing."""

    def show(self, view: SweepView) -> None:
        """Draw nothing."""


class LiveTable:
    """Redraws one table in place. Use as a context."""

    def __init__(self, console: Console, *, wanted: int | None = None) -> None:
        self._wanted = wanted
        # Starting Ray and the first training take some seconds, in which there is nothing to draw yet.
        self._live = Live(Text("starting …"), console=console, auto_refresh=False, transient=True)
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, view: SweepView) -> None:
        """Draw, at most a few times a second."""
        now = time.monotonic()
        if now - self._drawn_at >= DRAW_EVERY_S:
            self._drawn_at = now
            self._live.update(Group(table_of(view), Text(summary_of(view, self._wanted))), refresh=True)


class PlainLines:
    """One line per event, for logs and pipes."""

    def __init__(self, write: Callable[[str], None], *, wanted: int | None = None) -> None:
        self._write = write
        self._wanted = wanted
        self._states: dict[str, str] = {}
        self._said_at = time.monotonic()

    def show(self, view: SweepView) -> None:
        """Say what changed since the last time."""
        for trial in view.trials:
            state = f"{trial.state}{trial.process or ''}" if trial.state == "running" else trial.state
            if trial.state == "running" and not trial.placed:
                state = "waiting"
            if self._states.get(trial.id, "waiting") != state and state != "running":
                self._say(line_of(trial))
                self._states[trial.id] = state
        if time.monotonic() - self._said_at >= LINE_EVERY_S:
            self._say(summary_of(view, self._wanted))

    def _say(self, line: str) -> None:
        self._said_at = time.monotonic()
        self._write(line)


def curve_of(points: Sequence[EpochMetrics]) -> str:
    """The score of each epoch as bars between zero and its own maximum."""
    return sparkline([point.score for point in points], CURVE_WIDTH)


def table_of(view: SweepView) -> Table:
    """A table of the trials that run or have ended, the best first."""
    several = len({trial.target_hash for trial in view.trials}) > 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in (
        *((("target", False),) if several else ()),
        ("start", False),
        ("state", False),
        ("score", True),
        ("curve", False),
        ("epoch", True),
        ("time", True),
    ):
        table.add_column(
            name,
            justify="right" if right else "left",
            no_wrap=True,
            min_width=5 if name == "score" else None,  # whole where a narrow terminal cuts the others off
        )
    rows = _rows(view)
    for trial in rows[:MAX_ROWS]:
        best = trial.best_score
        cells = [
            *([printable(trial.target_name, limit=24)] if several else []),
            _name(trial),
            _state(trial),
            "" if best is None else f"{best:.3f}",
            curve_of(trial.curve),
            f"{len(trial.curve)}/{trial.recipe.epochs}",
            "" if trial.reused else duration(trial.seconds),
        ]
        table.add_row(*(Text(cell) for cell in cells))  # Text: a name with markup stays a name
    if len(rows) > MAX_ROWS:
        table.add_row(Text(f"… and {len(rows) - MAX_ROWS} more"))
    return table


def summary_of(view: SweepView, wanted: int | None = None) -> str:
    """Counts, cost so far, and what is left of the budget; `wanted` is how many are to run, None for all."""
    ended, failed = len(view.of_state("finished")), len(view.of_state("failed"))
    parts = [
        f"{ended} of {min(wanted or len(view.trials), len(view.trials))} done",
        *([f"{failed} failed"] if failed else []),
        *_occupation(view),
        f"{duration(view.elapsed_s)} elapsed",
        f"{duration(view.device_seconds)} of {view.device.upper()} time",
    ]
    if view.limit_s is not None:
        what = "" if view.budget_kind == "wall" else f" of {view.device.upper()} time"
        parts.append(
            f"{duration(max(0.0, view.limit_s - view.spent_s))} left of {duration(view.limit_s)}{what}"
        )
    return " · ".join(parts)


def _occupation(view: SweepView) -> list[str]:
    """The counts of trials that run, of how many can, and of those for which others' work leaves no slot."""
    if not view.num_slots:
        return []  # everything was known: no cluster was joined
    running = view.of_state("running")
    unplaced = sum(not trial.placed for trial in running)
    slots = f"{len(running) - unplaced} running on {counted(view.num_slots, 'slot')}"
    left_out = [f"{len(view.left_out)} left out ({printable(why, limit=100)})" for why in view.left_out[-1:]]
    return [slots, *([f"{unplaced} waiting for the cluster"] if unplaced else []), *left_out]


def line_of(trial: TrialView) -> str:
    """One trial in one line."""
    best = trial.best_score
    parts = [
        f"{printable(trial.target_name, limit=60)}  {_name(trial)}  {_state(trial)}",
        *([] if best is None else [f"score {best:.3f} {curve_of(trial.curve)}"]),
        *([f"{duration(trial.seconds)}"] if trial.seconds else []),
        *([f"on {trial.node}"] if trial.state == "running" and trial.node else []),
    ]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """`48 s`, `3:20 min`, `2:05 h`."""
    whole = int(seconds + 0.5)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _rows(view: SweepView) -> list[TrialView]:
    running = list(view.of_state("running"))
    ended = sorted(
        view.of_state("finished", "failed", "cut off"),
        key=lambda trial: (trial.target_name, -(trial.best_score or -1.0)),
    )
    return running + ended


def _name(trial: TrialView) -> str:
    seed = f" seed {trial.recipe.seed}" if trial.recipe.seed else ""
    part = f" {trial.recipe.fraction:.0%}" if trial.recipe.fraction < 1 else ""
    setting = setting_of(trial.recipe)
    varied = "" if setting == DEFAULT else f", {setting.words(trial.start.mode)}"
    return printable(trial.start, limit=48) + varied + part + seed


def _state(trial: TrialView) -> str:
    if trial.state == "finished":
        stopped = trial.run is not None and trial.run.status == "stopped"
        return ("known" if trial.reused else "done") + (", stopped" if stopped else "")
    state = "waiting for the cluster" if trial.state == "running" and not trial.placed else trial.state
    if trial.note:
        return f"{state}: {printable(trial.note, limit=70)}"
    return state
