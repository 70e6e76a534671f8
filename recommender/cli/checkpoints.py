"""`recommend checkpoints`: list, show, add, fetch, export, remove."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recommender.cli.checkpoint_tables import print_facts, print_layers, print_table, summary
from recommender.cli.console import err, out, print_json, progress_bars
from recommender.cli.options import AsJson, TaskChoice, task_of
from recommender.errors import UsageError
from recommender.store import open_store
from recommender.tasks import task_change, task_definition
from recommender.text import printable

if TYPE_CHECKING:
    from recommender.records import Checkpoint, Dataset
    from recommender.tasks import Task

app = typer.Typer(no_args_is_help=True, help="The checkpoints a training can start from.")

Name = Annotated[str, typer.Argument(help="Of the checkpoint, as `list` shows it.")]
Source = Annotated[
    Path | None,
    typer.Option("--dataset", metavar="SOURCE_DATA", help="The data it was trained on; profiled now."),
]


@app.command("list")
def list_checkpoints(
    as_json: AsJson = False,
    available: Annotated[bool, typer.Option("--available", help="Only those on this machine.")] = False,
) -> None:
    """List every checkpoint: built in, registered, public. One row a file, whatever its names."""
    from recommender.checkpoints import all_checkpoints
    from recommender.report.checkpoints import listed_checkpoints

    with open_store() as store:
        known = all_checkpoints(store)
    shown = [entry for entry in known if entry.available or not available]
    if as_json:
        documents = [one.model_dump(mode="json") for one in listed_checkpoints(shown, known)]
        print_json({"checkpoints": documents}, ensure_ascii=False)
    else:
        print_table(shown)


@app.command()
def show(
    name: Name,
    dataset: Annotated[
        Path | None, typer.Option(help="Show what of the checkpoint a model for this data set takes over.")
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="Of that model, if another.")] = None,
    task: TaskChoice = None,
    as_json: AsJson = False,
) -> None:
    """Show one checkpoint, its layers, and what of it transfers to a data set."""
    from recommender.checkpoints import coverage, get_checkpoint, require_for_task
    from recommender.report.checkpoints import checkpoint_summary, transfer_document

    with open_store() as store:
        checkpoint = get_checkpoint(store, name)
    names, fitted = checkpoint.class_names or tuple(str(index) for index in range(80)), checkpoint
    if dataset is not None:
        target = _open(dataset, task_of(task))
        names = target.class_names
        fitted = checkpoint if architecture else require_for_task(checkpoint, target.task)
        _warn_of_other_task(checkpoint, target.task)
    found = coverage(fitted, architecture, names)
    if as_json:
        transfer = transfer_document(found).model_dump(mode="json")
        print_json(
            {"checkpoint": checkpoint_summary(checkpoint).model_dump(mode="json"), "transfer": transfer},
            ensure_ascii=False,
        )
    else:
        print_facts(checkpoint_summary(checkpoint))
        print_layers(found)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="best.pt, a state dict, or safetensors; it is only read.")],
    name: Annotated[str, typer.Option(help="What to call it: letters, digits, dot, underscore, hyphen.")],
    dataset: Source = None,
    licence: Annotated[
        str | None, typer.Option(metavar="SPDX", help="Of the weights; unknown if not given.")
    ] = None,
    source_licence: Annotated[str | None, typer.Option(help="Of the data it was trained on.")] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Its training began from random weights.")
    ] = False,
    parent: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="CHECKPOINT", help="What its training began from; else it is looked for."
        ),
    ] = None,
    task: TaskChoice = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Never ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Register a checkpoint of yours: read in quarantine, its source data profiled."""
    from recommender.checkpoints import add_checkpoint, all_checkpoints, check_name
    from recommender.report.checkpoints import checkpoint_summary

    with open_store() as store, progress_bars() as progress:
        check_name(store, name)  # before the minutes that opening a large data set may take
        if parent is not None and Path(parent).is_file():
            raise UsageError(
                f"--from takes the name of a checkpoint; {printable(parent)} is a file.",
                remedy="Add that file first, with a --name, and give the name here.",
            )
        if dataset is None:
            _confirm("Without --dataset nothing can be said about its similarity to a target. Go on?", yes)
        source = None if dataset is None else _open(dataset, task_of(task))
        checkpoint = add_checkpoint(
            store,
            file,
            name=name,
            dataset=source,
            licence=licence,
            source_licence=source_licence,
            from_scratch=from_scratch,
            parent=parent,
            progress=progress,
        )
        known = all_checkpoints(store)
    _tell_same_network(checkpoint, known)
    _warn_of_other_classes(checkpoint, source)
    _warn_of_other_reading(checkpoint, source, asked=task is not None)
    _warn_of_other_task(checkpoint, checkpoint.task)
    if as_json:
        print_json({"checkpoint": checkpoint_summary(checkpoint).model_dump(mode="json")}, ensure_ascii=False)
    else:
        out().print(f"registered {checkpoint.name}: {summary(checkpoint)}")


@app.command()
def fetch(
    name: Name,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A copy downloaded by hand; no network then."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the files lie; else RECOMMENDER_ASSETS_URL.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Even if it is here.")] = False,
) -> None:
    """Fetch a public checkpoint: resumed, checked, read in quarantine."""
    from recommender.checkpoints import fetch as fetch_checkpoint
    from recommender.checkpoints import get_checkpoint

    with open_store() as store:
        chosen = get_checkpoint(store, name)
    with progress_bars() as progress:
        fetched = fetch_checkpoint(chosen, base_url=base_url, file=from_file, again=again, progress=progress)
    out().print(f"fetched {fetched.name}: {summary(fetched)}, sha256 {fetched.sha256}")


@app.command()
def export(
    name: Name,
    file: Annotated[
        Path, typer.Argument(help="The .pt to write; or .onnx, .torchscript, .engine, NAME_openvino_model, …")
    ],
    imgsz: Annotated[
        int | None,
        typer.Option(min=32, max=4096, help="Image size of other formats; else that of its training."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a checkpoint as the .pt that `yolo` reads, or in a format that devices run."""
    from recommender.checkpoints import export_pt, get_checkpoint
    from recommender.checkpoints.deploy import export_deployed, export_format

    with open_store() as store:
        chosen = get_checkpoint(store, name)
    if export_format(file) is None:
        written = export_pt(chosen, file, overwrite=force)
    else:
        size = imgsz or chosen.train_imgsz or 640
        written = export_deployed(chosen, file, imgsz=size, overwrite=force)
    out().print(f"wrote {printable(written)}")


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Never ask.")] = False,
) -> None:
    """Forget a registered or fetched checkpoint; its runs stay in the history."""
    from recommender.checkpoints import get_checkpoint, remove_checkpoint

    with open_store() as store:
        chosen = get_checkpoint(store, name)
        _confirm(f"Remove {chosen.name} and its weights?", yes)
        removed = remove_checkpoint(store, chosen.name)
    out().print(f"removed {chosen.name}")
    if removed.path is not None and removed.path.exists():
        out().print(f"Its file stays, as another name or store uses it, or may: {printable(removed.path)}")


def _tell_same_network(checkpoint: Checkpoint, known: Sequence[Checkpoint]) -> None:
    """Tells on stderr that a new name stands for weights that are known, and if other data are named for them."""
    from recommender.checkpoints import names_of_files

    first = next(one for one in known if one.name == names_of_files(known)[checkpoint.name][0])
    if first.name == checkpoint.name:
        return
    other = ""
    if first.source_name is not None and first.source_name != checkpoint.source_name:
        told = printable(checkpoint.source_name or "unknown data", limit=60)
        other = f" That one was trained on {printable(first.source_name, limit=60)}, this one is said to be on {told}."
    err().print(
        f"note: {checkpoint.name} is the very network of {first.name}: both are one start, and its runs count for "
        f"both.{other}"
    )


def _warn_of_other_task(checkpoint: Checkpoint, task: Task) -> None:
    """Tells on stderr that weights made for one task are to start another."""
    if said := task_change(checkpoint.task, checkpoint.foreign_task, task):
        err().print(f"note: {checkpoint.name} {said}; what does not fit stays behind.")


def _warn_of_other_classes(checkpoint: Checkpoint, source: Dataset | None) -> None:
    """The likeliest slip: naming the target, or another data set, where the source was asked for."""
    from recommender.class_names import overlap

    if (
        source is None
        or checkpoint.class_names is None
        or overlap(source.class_names, checkpoint.class_names)
    ):
        return
    named, own = (
        printable(", ".join(names), limit=80) for names in (source.class_names, checkpoint.class_names)
    )
    err().print(
        f"note: the checkpoint knows {own}; the data set holds {named}. Is it really what it was trained on?"
    )


def _warn_of_other_reading(checkpoint: Checkpoint, source: Dataset | None, *, asked: bool) -> None:
    """A detector of an outlined set saw its boxes: read for its outlines it is another data set."""
    if asked or source is None or source.task == checkpoint.task:
        return
    err().print(
        f"note: {printable(source.name)} was read for {task_definition(source.task).name_in_full}, and the checkpoint "
        f"is for {task_definition(checkpoint.task).name_in_full}. If it was trained so, register it with "
        f"--task {checkpoint.task}: else it is not known as trained on these data."
    )


def _open(path: Path, task: Task | None) -> Dataset:
    from recommender.datasets import open_dataset

    return open_dataset(path, task=task)


def _confirm(question: str, yes: bool) -> None:
    """Ask on a terminal only; scripts are never stopped."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(question, default=True, abort=True, err=True)
