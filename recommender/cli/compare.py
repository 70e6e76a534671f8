"""`recommend compare`: chosen starts trained side by side on the user's own data, and one report."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recommender.cli.console import err, out, print_json, progress_bars
from recommender.cli.options import (
    Address,
    AllowRoots,
    Architecture,
    AsJson,
    Batch,
    Budget,
    CpusPerTrial,
    DatasetPath,
    Fractions,
    GpusPerTrial,
    ImageSize,
    Optimizer,
    Parallel,
    Patience,
    Seeds,
    Storage,
    TaskChoice,
    request_of,
)
from recommender.errors import UsageError
from recommender.home import expanded
from recommender.store import open_store
from recommender.text import counted

if TYPE_CHECKING:
    from recommender.records import Notice
    from recommender.requests import CompareRequest
    from tune_jobs.compare.run import Compared


def compare(
    context: typer.Context,
    dataset: DatasetPath,
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:MODE]",
            help="scratch, coco, NAME:freeze, FILE.pt:full (repeatable); else scratch and COCO in both modes.",
        ),
    ] = None,
    fractions: Fractions = "1",
    seeds: Seeds = "3",
    epochs: Annotated[int, typer.Option(help="Of every training, at most.")] = 100,
    patience: Patience = 50,
    test: Annotated[
        str, typer.Option(metavar="auto|test|val", help="Split that scores the trained models.")
    ] = "auto",
    imgsz: ImageSize = None,
    batch: Batch = 16,
    optimizer: Optimizer = "AdamW",
    learning_rates: Annotated[
        str, typer.Option(metavar="default,3e-4", help="Each is tried once; a start's best one goes on.")
    ] = "default",
    normalisation: Annotated[
        str, typer.Option(metavar="auto|batch|group", help="Of scratch; auto is group at batches under 4.")
    ] = "auto",
    multi_scale: Annotated[
        bool, typer.Option("--multi-scale", help="Train on images resized at random by up to half.")
    ] = False,
    tta: Annotated[
        bool, typer.Option("--tta", help="Score with test-time augmentation too, in a column of its own.")
    ] = False,
    architecture: Architecture = None,
    confidence: Annotated[float, typer.Option(help="From which boxes are drawn.")] = 0.5,
    pictures: Annotated[int, typer.Option(metavar="N", help="Held-out images shown; 0 none.")] = 6,
    photos: Annotated[
        bool, typer.Option("--photos/--no-photos", help="Without: boxes on empty frames, to pass on.")
    ] = True,
    budget: Budget = None,
    address: Address = None,
    gpus_per_trial: GpusPerTrial = None,
    cpus_per_trial: CpusPerTrial = None,
    parallel: Parallel = None,
    storage: Storage = None,
    task: TaskChoice = None,
    allow_root: AllowRoots = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the report goes; else comparison-DATASET here.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start the trainings without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train chosen starts side by side and write one report; given again, it goes on where it was."""
    from recommender.requests import CompareRequest

    request = request_of(CompareRequest, context)
    folder = expanded(out) if out else None
    _check_writable(folder or Path())
    can_ask = sys.stdin.isatty() and sys.stderr.isatty()  # the question goes to the latter
    compared = _run(request, ask=can_ask and not yes and request.budget is None)
    _show(request, compared, folder, as_json=as_json)
    if compared.was_interrupted:
        from recommender.cli.sweep import INTERRUPTED

        raise typer.Exit(INTERRUPTED)


def _run(request: CompareRequest, *, ask: bool) -> Compared:
    from recommender.cli.sweep import LateDisplay
    from recommender.report.notices import print_notices
    from tune_jobs.compare.run import compare as run

    with open_store() as store, contextlib.ExitStack() as screen:
        bars = contextlib.ExitStack()
        progress = bars.enter_context(progress_bars())

        def begin(planned: CompareRequest, told: tuple[Notice, ...], trainings: int, cost: str) -> None:
            bars.close()
            print_notices(told, err())
            if trainings:
                err().print(_plan_line(planned, trainings, cost))
            if trainings and ask:
                typer.confirm("Start them?", abort=True, err=True)

        with bars:
            return run(request, store=store, progress=progress, display=LateDisplay(screen), on_plan=begin)


def _plan_line(request: CompareRequest, trainings: int, cost: str) -> str:
    """The trainings that are about to run and how long they are expected to take, in a sentence."""
    within = f" within {request.budget}" if request.budget else "; --budget 1h would cap it"
    return (
        f"{counted(trainings, 'training')} to run: {counted(len(request.starts), 'start')}, "
        f"{counted(len(request.seeds), 'seed')}, up to {counted(request.epochs, 'epoch')} at "
        f"{request.imgsz} px: {cost}{within}."
    )


def _show(request: CompareRequest, compared: Compared, folder: Path | None, *, as_json: bool) -> None:
    from recommender.comparison.findings import findings_of
    from recommender.report.comparison import comparison_document
    from recommender.report.comparison_files import default_folder, write_report
    from recommender.report.comparison_table import print_comparison

    comparison = compared.comparison
    findings = findings_of(comparison, pictures=request.pictures)
    place = folder or default_folder(comparison)
    write_report(comparison, findings, compared.target if request.photos else None, place)
    if as_json:
        print_json(comparison_document(comparison, findings))
    else:
        print_comparison(comparison, findings, out())
    console = err()
    console.print(f"report: {place / 'report.html'}")
    if comparison.ended_early is not None:
        console.print(
            f"ended early: {comparison.ended_early}; what is finished is kept, the same command goes on."
        )


def _check_writable(folder: Path) -> None:
    """Refuse a place for the report before the work, not after it."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UsageError(
            f"The report cannot be written to {folder.absolute()}.",
            remedy="Name a folder that can be made with --out.",
        )
