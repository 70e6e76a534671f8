"""`recommend sweep`: every start on every target, across a cluster; resumable, each run counted once."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recommender.cli.options import (
    Address,
    AllowRoots,
    AxesChoice,
    Budget,
    CpusPerTrial,
    GpusPerTrial,
    ImageSize,
    Parallel,
    Seeds,
    Storage,
    TaskChoice,
    parts,
    size_of,
    task_of,
)

if TYPE_CHECKING:
    from tune_jobs.sweep.display import Display
    from tune_jobs.sweep.grid import Swept

INTERRUPTED = 130  # what shells expect after Ctrl-C


def sweep(
    dataset: Annotated[
        list[str], typer.Option("--dataset", "-d", metavar="PATH", help="Target data set (repeatable).")
    ],
    checkpoint: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this start (repeatable); else all here.")
    ] = None,
    modes: Annotated[
        str, typer.Option(help="Of full, freeze, scratch; comma between them.")
    ] = "full,freeze,scratch",
    seeds: Seeds = "1",
    fractions: Annotated[str, typer.Option(metavar="1,0.33", help="Shares of the train images.")] = "1",
    epochs: Annotated[int, typer.Option(help="Of every training.")] = 100,
    imgsz: ImageSize = None,
    batch: Annotated[int, typer.Option(help="Images a step.")] = 16,
    patience: Annotated[int, typer.Option(help="Epochs without gain before one ends; 0 never.")] = 0,
    optimizer: Annotated[str, typer.Option(help="AdamW, Adam, NAdam, RAdam or SGD.")] = "AdamW",
    learning_rate: Annotated[float | None, typer.Option(help="Else the mode's default.")] = None,
    axes: AxesChoice = None,
    architecture: Annotated[
        str | None, typer.Option(metavar="yolo11n", help="For scratch; else the starts' most common one.")
    ] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="M", help="Largest model, e.g. 5M parameters.")
    ] = None,
    budget: Budget = None,
    address: Address = None,
    gpus_per_trial: GpusPerTrial = None,
    cpus_per_trial: CpusPerTrial = None,
    parallel: Parallel = None,
    storage: Storage = None,
    task: TaskChoice = None,
    allow_root: AllowRoots = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Train every start on every target; what the history knows is not repeated, so give it again to go on."""
    from recommender.requests import SweepRequest, parameters_from

    request = SweepRequest.model_validate(
        {
            "datasets": tuple(dataset),
            "task": task_of(task),
            "checkpoints": tuple(checkpoint or ()),
            "modes": parts(modes),
            "seeds": seeds,
            "fractions": parts(fractions),
            "epochs": epochs,
            **size_of(imgsz),
            "batch": batch,
            "patience": patience,
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "axes": parts(axes or ""),
            "architecture": architecture,
            "max_params": parameters_from(max_params) if max_params else None,
            "budget": budget,
            "address": address,
            "gpus_per_trial": gpus_per_trial,
            "cpus_per_trial": cpus_per_trial,
            "parallel": parallel,
            "storage": storage,
            "allow_roots": tuple(allow_root or ()),
        }
    )
    from recommender.cli.console import progress_bars
    from recommender.store import Store
    from tune_jobs.sweep import grid

    with Store.open_default() as store, contextlib.ExitStack() as screen:
        bars = contextlib.ExitStack()
        progress = bars.enter_context(progress_bars())
        display = LateDisplay(screen)
        with bars:
            swept = grid.sweep(request, store=store, progress=progress, display=display, on_plan=bars.close)
    _show(swept, as_json=as_json)
    if swept.result.was_interrupted:
        raise typer.Exit(INTERRUPTED)


@contextlib.contextmanager
def sweep_display(wanted: int | None = None) -> Iterator[Display]:
    """A live table on a terminal, plain lines elsewhere, both on stderr; `wanted` is how many trials are to run."""
    from recommender.cli.console import err
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
    from recommender.cli.console import err, out
    from tune_jobs.sweep.display import summary_of
    from tune_jobs.sweep.result_matrix import matrix_table, sweep_document

    if as_json:
        document = sweep_document(swept.result, swept.notices).model_dump(mode="json")
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    else:
        out().print(matrix_table(swept.result))
    console = err()
    for notice in swept.notices:
        console.print(f"note: {notice.message}", markup=False)
    console.print(summary_of(swept.result.view), markup=False)
    if swept.result.reason is not None:
        console.print(
            f"ended early: {swept.result.reason}; what is finished is kept, the same command goes on.",
            markup=False,
        )
