"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from recommender.errors import UsageError
from recommender.tasks import TASKS, Task

DatasetPath = Annotated[
    str, typer.Option("--dataset", "-d", metavar="PATH", help="Data set, in any format that is read.")
]
Seeds = Annotated[
    str, typer.Option(metavar="N|0,1,2", help="Each start so often, or once for each of these seeds.")
]
Budget = Annotated[str | None, typer.Option(metavar="10m|2gpu-h", help="A hard cap across the cluster.")]
Address = Annotated[
    str | None, typer.Option(metavar="auto|HOST:PORT|ray://…", help="Ray cluster; else a local one.")
]
GpusPerTrial = Annotated[
    float | None, typer.Option(metavar="F", help="GPUs a training takes; fractions share one.")
]
CpusPerTrial = Annotated[int | None, typer.Option(metavar="N", help="CPUs a training takes.")]
Parallel = Annotated[int | None, typer.Option(metavar="N", help="Trainings at a time, at most.")]
Storage = Annotated[str | None, typer.Option(metavar="DIR|URL", help="Keeps finished runs beside the store.")]
TaskChoice = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="detect|segment|classify",
        help="What the data set is read for; else what its labels say.",
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Training image size in pixels; else the best expected, or 640, of classification 224.",
        show_default=False,
    ),
]
AxesChoice = Annotated[
    str | None,
    typer.Option("--axes", metavar="lr,freeze", help="Vary the learning rate and the freeze depth too."),
]
AllowRoots = Annotated[
    list[str] | None, typer.Option(metavar="DIR", help="A further folder a data.yaml may point into.")
]


ClassMaps = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="CLASS=CLASS", help="A class of yours that the checkpoint calls otherwise."
    ),
]


def task_of(text: str | None) -> Task | None:
    """The task of `--task`. Raises UsageError for one that is not known."""
    if text is None:
        return None
    known = {row.name: row.name for row in TASKS}
    if text.strip().casefold() not in known:
        raise UsageError(f"--task {text!r} is not known.", remedy=f"Write one of {', '.join(known)}.")
    return cast(Task, text.strip().casefold())


def class_map(texts: list[str] | None) -> dict[str, str]:
    """`vehicle=car` of every `--map`. Raises UsageError for anything else."""
    found = {}
    for text in texts or ():
        own, equals, other = (part.strip() for part in text.partition("="))
        if not (own and equals and other):
            raise UsageError(
                f"--map {text!r} is not understood.", remedy="Write YOURS=THEIRS: --map vehicle=car."
            )
        found[own] = other
    return found


def parts(text: str) -> tuple[str, ...]:
    """The values of an option that takes several with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def size_of(imgsz: int | None) -> dict[str, int]:
    """The field of a request; none where the size was left to the task."""
    return {} if imgsz is None else {"imgsz": imgsz}
