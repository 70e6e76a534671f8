"""Options that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from recommender.errors import UsageError
from recommender.tasks import TASKS, Task
from recommender.text import NUMBER

if TYPE_CHECKING:
    from pydantic import BaseModel

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
    float | None, typer.Option(metavar="F", help="Of a GPU, up to 1; fractions share one.")
]
CpusPerTrial = Annotated[int | None, typer.Option(metavar="N", help="CPUs a training takes.")]
Parallel = Annotated[int | None, typer.Option(metavar="N", help="Trainings at a time, at most.")]
Storage = Annotated[str | None, typer.Option(metavar="DIR|URL", help="Keeps finished runs beside the store.")]


def _task_option(said: str) -> Any:
    return typer.Option("--task", metavar="detect|segment|classify", help=said)


TaskChoice = Annotated[str | None, _task_option("What the data set is read for; else what its labels say.")]
TaskOfRuns = Annotated[str | None, _task_option("Only runs of this task.")]
TaskOfHistory = Annotated[str | None, _task_option("Whose history is asked; else detect's.")]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Training image size in pixels, made a multiple of 32; else the best expected, or 640, of "
        "classification 224.",
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
Modes = Annotated[str, typer.Option(help="Of full, freeze, scratch; comma between them.")]
Fractions = Annotated[str, typer.Option(metavar="1,0.33", help="Shares of the train images.")]
Batch = Annotated[int, typer.Option(help="Images a step.")]
Patience = Annotated[int, typer.Option(help="Epochs without gain before one ends; 0 never.")]
Optimizer = Annotated[str, typer.Option(help="AdamW, Adam, NAdam, RAdam or SGD.")]
LearningRate = Annotated[float | None, typer.Option(help="Else the mode's default.")]
Architecture = Annotated[
    str | None, typer.Option(metavar="yolo11n", help="For scratch; else the starts' most common one.")
]
MaxParams = Annotated[str | None, typer.Option(metavar="M", help="Largest model, e.g. 5M parameters.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

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
    """`vehicle=car` of every `--map`. Raises UsageError for anything else, and for two meanings of one class."""
    found: dict[str, str] = {}
    for text in texts or ():
        own, equals, other = (part.strip() for part in text.partition("="))
        if not (own and equals and other):
            raise UsageError(
                f"--map {text!r} is not understood.", remedy="Write YOURS=THEIRS: --map vehicle=car."
            )
        if found.setdefault(own, other) != other:
            raise UsageError(
                f"--map gives {own!r} two meanings, {found[own]!r} and {other!r}.", remedy="Keep one of them."
            )
    return found


def parts(text: str) -> tuple[str, ...]:
    """The values of an option that takes several with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parameters_from(text: str) -> int:
    """Read `5000000`, `5M` or `2.6m` as a number of parameters."""
    match = re.fullmatch(rf"({NUMBER})\s*([kmb]?)", text.strip().casefold())
    if not match or math.isinf(float(match.group(1))):
        raise UsageError(
            f"--max-params {text!r} is not a number of parameters.", remedy="Write 5000000 or 5M."
        )
    factor = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}[match.group(2)]
    return int(float(match.group(1)) * factor)


Asked = TypeVar("Asked", bound="BaseModel")
READERS: dict[str, Callable[[Any], Any]] = {
    "task": task_of,
    "class_map": class_map,
    "max_params": lambda text: parameters_from(text) if text else None,
    **dict.fromkeys(("modes", "fractions", "learning_rates", "axes"), parts),
}  # of the fields that an option writes in another form


def request_of(model: type[Asked], context: typer.Context, **instead: Any) -> Asked:
    """The request that the options of a command make; `instead` are fields that follow from them otherwise.

    An option fills the field of its name, be it singular or plural: each --start is one of `starts`. Where it is left
    out, the field keeps its default. Raises pydantic's ValidationError, and UsageError.
    """
    given: dict[str, Any] = {}
    for name, value in context.params.items():
        field = next(
            (one for one in (name, f"{name}s", name.removesuffix("s")) if one in model.model_fields), None
        )
        if field is not None and value is not None and value != () and value != []:
            given[field] = READERS[field](value) if field in READERS else value
    return model.model_validate(given | instead)
