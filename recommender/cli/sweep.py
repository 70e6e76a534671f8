"""`recommend sweep`: every start on every target, across a cluster; resumable, each run counted once."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recommender.cli.console import err, out, print_json, progress_bars
from recommender.cli.options import (
    Address,
    AllowRoots,
    Architecture,
    AsJson,
    AxesChoice,
    Batch,
    Budget,
    CpusPerTrial,
    Fractions,
    GpusPerTrial,
    ImageSize,
    LearningRate,
    MaxParams,
    Modes,
    Optimizer,
    Parallel,
    Patience,
    Seeds,
    Storage,
    TaskChoice,
    request_of,
)
from recommender.store import open_store
from recommender.text import counted

if TYPE_CHECKING:
    from tune_jobs.sweep.display import Display
    from tune_jobs.sweep.grid import Swept

INTERRUPTED = 130  # what shells expect after Ctrl-C


def sweep(
    context: typer.Context,
    dataset: Annotated[
        list[str], typer.Option("--dataset", "-d", metavar="PATH", help="Data set to train on (repeatable).")
    ],
    checkpoint: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this start (repeatable); else all here.")
    ] = None,
    modes: Modes = "full,freeze,scratch",
    seeds: Seeds = "1",
    fractions: Fractions = "1",
    epochs: Annotated[int, typer.Option(help="Of every training.")] = 100,
    imgsz: ImageSize = None,
    batch: Batch = 16,
    patience: Patience = 0,
    optimizer: Optimizer = "AdamW",
    learning_rate: LearningRate = None,
    axes: AxesChoice = None,
    architecture: Architecture = None,
    max_params: MaxParams = None,
    budget: Budget = None,
    address: Address = None,
    gpus_per_trial: GpusPerTrial = None,
    cpus_per_trial: CpusPerTrial = None,
    parallel: Parallel = None,
    storage: Storage = None,
    task: TaskChoice = None,
    allow_root: AllowRoots = None,
    as_json: AsJson = False,
) -> None:
    """Train every start on every data set; what the history knows is not repeated, so give it again to go on."""
    from recommender.requests import SweepRequest
    from tune_jobs.sweep import grid

    request = request_of(SweepRequest, context)
    with open_store() as store, contextlib.ExitStack() as screen:
        bars = contextlib.ExitStack()
        progress = bars.enter_context(progress_bars())
        display = LateDisplay(screen)

        def begin(trials: int, cost: str) -> None:
            bars.close()
            if trials:
                err().print(f"{counted(trials, 'trial')} to run: {cost}.")

        with bars:
            swept = grid.sweep(request, store=store, progress=progress, display=display, on_plan=begin)
    _show(swept, as_json=as_json)
    if swept.result.was_interrupted:
        raise typer.Exit(INTERRUPTED)


@contextlib.contextmanager
def sweep_display(wanted: int | None = None) -> Iterator[Display]:
    """A live table on a terminal, plain lines elsewhere, both on stderr; `wanted` is how many trials are to run."""
    from tune_jobs.sweep.display import LiveTable, PlainLines, Silent

    console = err()
    if console.quiet:
        yield Silent()
    elif console.is_terminal:
        with LiveTable(console, wanted=wanted) as table:
            yield table
    else:
        yield PlainLines(lambda line: print(line, file=sys.stderr, flush=True), wanted=wanted)  # noqa: T201


class LateDisplay:
    """Takes the screen when there is something to show, for until then the progress bars have it."""

    def __init__(self, screen: contextlib.ExitStack) -> None:
        self._screen = screen
        self._display: Display | None = None

    def show(self, view: Any) -> None:
        """Pass on to the display."""
        if self._display is None:
            self._display = self._screen.enter_context(sweep_display())
        self._display.show(view)


def _show(swept: Swept, *, as_json: bool) -> None:
    from tune_jobs.sweep.display import summary_of
    from tune_jobs.sweep.result_matrix import matrix_tables, sweep_document

    if as_json:
        document = sweep_document(swept.result, swept.notices).model_dump(mode="json")
        print_json(document)
    else:
        console = out()
        console.print(*matrix_tables(swept.result, width=console.width))
    console = err()
    for notice in swept.notices:
        console.print(f"note: {notice.message}")
    console.print(summary_of(swept.result.view))
    if swept.result.reason is not None:
        console.print(
            f"ended early: {swept.result.reason}; what is finished is kept, the same command goes on."
        )
