"""`recommend datasets`: what a data set holds and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recommender.cli.console import out, print_json, progress_bars
from recommender.cli.options import AllowRoots, AsJson, TaskChoice, task_of
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.progress import Progress
    from recommender.records import Dataset

app = typer.Typer(help="Look into data sets.", no_args_is_help=True)

Seed = Annotated[int, typer.Option(help="Of the split, where the data set has none.")]


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
    seed: Seed = 0,
) -> None:
    """Report formats, counts, class balance, sizes, defects, duplicates and leaks between the splits."""
    from recommender.datasets import inspect_dataset
    from recommender.report.inspection import inspection_document, print_inspection

    with progress_bars() as progress:
        dataset = _open(path, task, allow_root, seed, progress)
        inspection = inspect_dataset(dataset, progress=progress)
    if as_json:
        print_json(inspection_document(inspection).model_dump(mode="json"))
    else:
        print_inspection(inspection, out())


@app.command("export")
def export(
    path: Annotated[Path, typer.Argument(help="Data set of any format.")],
    folder: Annotated[Path, typer.Argument(help="New folder; an equal copy that is there already is kept.")],
    task: TaskChoice = None,
    allow_root: AllowRoots = None,
    seed: Seed = 0,
) -> None:
    """Write a clean copy that `yolo detect train data=FOLDER/data.yaml` and its counterparts for other tasks read."""
    from recommender.datasets import export_yolo

    with progress_bars() as progress:
        dataset = _open(path, task, allow_root, seed, progress)
        written = export_yolo(dataset, folder.absolute(), splits=("train", "val", "test"))
    typer.echo(printable(written, limit=4096))


def _open(
    path: Path, task: str | None, allow_root: list[str] | None, seed: int, progress: Progress
) -> Dataset:
    from recommender.datasets import open_dataset

    roots = tuple(map(Path, allow_root or ()))
    return open_dataset(path, task=task_of(task), seed=seed, allowed_roots=roots, progress=progress)
