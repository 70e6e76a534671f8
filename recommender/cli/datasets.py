"""`recommend datasets`: what a data set holds and what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from recommender.cli.console import out, progress_bars
from recommender.cli.options import AllowRoots, AsJson, TaskChoice, task_of
from recommender.text import printable

app = typer.Typer(help="Look into data sets.", no_args_is_help=True)


@app.command("inspect")
def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            help="Data set: folder, data.yaml, COCO JSON, Pascal VOC tree, or a zip or tar of one."
        ),
    ],
    as_json: AsJson = False,
    task: TaskChoice = None,
    allow_root: AllowRoots = None,
    seed: Annotated[int, typer.Option(help="Of the split, where the data set has none.")] = 0,
) -> None:
    """Report formats, counts, class balance, sizes, defects, duplicates and leaks between the splits."""
    from recommender.datasets import inspect_dataset, open_dataset
    from recommender.report.inspection import inspection_document, print_inspection

    with progress_bars() as progress:
        dataset = open_dataset(
            path,
            task=task_of(task),
            seed=seed,
            allowed_roots=tuple(map(Path, allow_root or ())),
            progress=progress,
        )
        inspection = inspect_dataset(dataset, progress=progress)
    if as_json:
        sys.stdout.write(inspection_document(inspection).to_json(indent=2) + "\n")
    else:
        print_inspection(inspection, out())


@app.command("export")
def export(
    path: Annotated[Path, typer.Argument(help="Data set of any format.")],
    folder: Annotated[Path, typer.Argument(help="New folder; an equal copy that is there already is kept.")],
    task: TaskChoice = None,
    allow_root: AllowRoots = None,
    seed: Annotated[int, typer.Option(help="Of the split, where the data set has none.")] = 0,
) -> None:
    """Write a clean copy that `yolo detect train data=FOLDER/data.yaml` and its counterparts for other tasks read."""
    from recommender.datasets import export_yolo, open_dataset

    with progress_bars() as progress:
        dataset = open_dataset(
            path,
            task=task_of(task),
            seed=seed,
            allowed_roots=tuple(map(Path, allow_root or ())),
            progress=progress,
        )
        written = export_yolo(dataset, folder.absolute(), seed=seed, splits=("train", "val", "test"))
    typer.echo(printable(written, limit=4096))
