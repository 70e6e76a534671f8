"""Output of the CLI: results to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from recommender import progress as reporting

if TYPE_CHECKING:
    from pydantic import BaseModel

_quiet = False
PLAIN_WIDTH = 140  # columns where the output is no terminal: a pipe or a log


def out() -> Console:
    """Results. Text is taken letter by letter, here and on stderr: names may hold rich's markup."""
    return Console(
        width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False, markup=False, emoji=False
    )


def print_json(document: BaseModel | dict[str, Any], *, ensure_ascii: bool = True) -> None:
    """Write one JSON document on stdout; a model's text is as pydantic writes it, whatever `ensure_ascii`."""
    if isinstance(document, dict):
        text = json.dumps(document, indent=2, ensure_ascii=ensure_ascii)
    else:
        text = document.model_dump_json(indent=2)
    sys.stdout.write(text + "\n")


def err() -> Console:
    """Progress and notices, which `--quiet` silences; errors are printed elsewhere."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True, quiet=_quiet)


def set_quiet(quiet: bool) -> None:
    """Silence progress and notices of this process, or let them be heard."""
    global _quiet
    _quiet = quiet


@contextmanager
def progress_bars() -> Iterator[reporting.Progress]:
    """One bar per stage on stderr while it runs; silent where stderr is no terminal."""
    console = err()
    if not console.is_terminal or _quiet:
        yield reporting.silent
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, int] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)  # type: ignore[arg-type]

        yield report
