"""The root of `recommend`: the main job itself, its subcommands, and what becomes of errors."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from recommender import __version__
from recommender.cli.arguments import configuration, split_quiet, with_dataset
from recommender.cli.console import err, set_quiet
from recommender.cli.mounts import mount
from recommender.cli.options import (
    Address,
    AllowRoots,
    AsJson,
    AxesChoice,
    ClassMaps,
    GpusPerTrial,
    ImageSize,
    MaxParams,
    Modes,
    TaskChoice,
)
from recommender.errors import RecommenderError, UsageError
from recommender.text import printable

# Options whose name is the singular of the request's field, since they are repeated.
OPTION_OF = {
    "checkpoints": "checkpoint",
    "starts": "start",
    "datasets": "dataset",
    "allow-roots": "allow-root",
}

# Headings of the help page below the options that say what is asked.
LIMITS, SHOWN, TRIALS = "Limits of device, time, cost and licence", "What is shown", "Short trials"


class _InterruptError(Exception):
    """Ctrl-C within a command."""


class _Commands(TyperGroup):
    """Hands an interruption up, of which typer would leave the exit code alone."""

    def invoke(self, ctx: Any) -> Any:
        """The command's result. Raises _InterruptError."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _InterruptError from None


app = typer.Typer(
    name="recommend",
    cls=_Commands,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help="Which checkpoint to start a vision model from, and how: fine-tune, freeze, or from scratch.",
)
mount(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 done, 2 bad use or bad input, 1 our failure."""
    _ready_streams()
    try:
        given, quiet = split_quiet(sys.argv[1:] if arguments is None else arguments)
        command = typer.main.get_command(app)  # `app(...)` would build it a second time
        # A file that is in error must not keep the help from being read that tells what may stand in it.
        asks = {"--help", "-h", "--version"} & set(given) or "_RECOMMEND_COMPLETE" in os.environ
        defaults, file = ({}, "") if asks else configuration(command, Path.cwd())
        set_quiet(quiet)
        if defaults:
            names = ", ".join(f"[{one}]" if isinstance(defaults[one], dict) else one for one in defaults)
            err().print(f"defaults from {file} in this folder: {names}")
        set_quiet(quiet or bool(defaults.get("quiet")))
        code = command(
            args=with_dataset(given, command),
            prog_name="recommend",
            standalone_mode=False,
            default_map=defaults,
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except RecommenderError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, _InterruptError):
        return _fail("interrupted; what was finished is kept.", 130)
    except (BrokenPipeError, SystemExit) as error:  # typer and rich make the second of the first
        if not isinstance(error.__context__ or error, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
        return 0  # the reader, say `head`, has seen enough
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _fail("the disk is full: what was written there is not whole. Free some space.", 1)
        closed = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR)
        if closed and error.filename is not None:
            remedy = "Put right who may read and write there, or set RECOMMENDER_HOME to another folder."
            return _fail(f"{error.filename}: {error.strerror}. {remedy}", 1)
        return _unexpected(error)
    except Exception as error:
        return _unexpected(error)


def _ready_streams() -> None:
    """Output that is closed goes nowhere, and no letter of a table breaks a terminal of another encoding."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


UNREADABLE = {
    "int_parsing": "Input should be a valid integer",
    "float_parsing": "Input should be a valid number",
}  # how the parser's message about a value begins, by its kind


def _unexpected(error: Exception) -> int:
    if type(error).__name__ == "Abort":  # click's, which typer carries a copy of
        return _fail("aborted; nothing was changed.", 1)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # bad use, likewise
        said = error.format_message().rstrip(".").replace("Value error, ", "")
        if not said:  # its help was printed instead
            return 2
        for kind, start in UNREADABLE.items():
            if start in said:
                said = said.partition(start)[0] + plain_message(kind, "")
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "recommend"
        stop = "" if said.endswith("?") else "."
        return _fail(f"{said}{stop} `{command} --help` shows what there is.", 2)
    if type(error).__name__ == "ValidationError" and hasattr(error, "errors"):
        return _fail(_validation(error), 2)
    if os.environ.get("RECOMMENDER_DEBUG"):
        raise error
    return _fail(
        f"this is our fault, not yours: {type(error).__name__}: {error}. "
        "Run again with RECOMMENDER_DEBUG=1 for the trace.",
        1,
    )


def _validation(error: Any) -> str:
    """pydantic's findings, one line each, without its web addresses."""
    lines = []
    every = error.errors(include_url=False, include_context=False)
    broken = {found["loc"][:1] for found in every if len(found["loc"]) > 1}
    for found in every:
        if found["type"] == "too_short" and found["loc"] in broken:
            continue  # pydantic counts only the items that are well
        where = str(found["loc"][0]).replace("_", "-") if found["loc"] else ""
        what = plain_message(found["type"], found["msg"])
        given = "" if found["type"] == "too_short" else found.get("input")  # no value of several
        lines.append(f"--{OPTION_OF.get(where, where)} {given!r}: {what}" if where else what)
    return "; ".join(lines)


def plain_message(kind: str, message: str) -> str:
    """pydantic's finding in words for a user."""
    if kind == "literal_error":
        return message.replace("Input should be", "choose").replace("'", "")
    if kind in ("int_parsing", "int_from_float", "int_type"):
        return "a whole number is wanted"
    if kind in ("float_parsing", "float_type"):
        return "a number is wanted"
    if kind == "string_unicode":
        return "the name is no text in UTF-8; give it another, or name a link to it"
    if kind == "too_short":
        return "nothing is named; leave it out for what is usual"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return message.replace("Input should be", "it must be").replace("Tuple should have", "give")


def _fail(message: str, code: int) -> int:
    print(f"error: {printable(message, limit=4000)}", file=sys.stderr)  # noqa: T201
    return code


def _version(context: typer.Context, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        typer.echo(f"checkpoint-recommender {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "-d",
            metavar="PATH",
            help="Data set: folder, data.yaml, COCO JSON, Pascal VOC tree, or a zip of one.",
        ),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            "--start",
            metavar="NAME[:MODE]|FILE.pt",
            help="Only this start (repeatable), beside COCO and scratch.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:MODE]", help="Leave this start out of the question (repeatable)."),
    ] = None,
    class_maps: ClassMaps = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Put a FILE.pt named here into later rankings too.")
    ] = False,
    modes: Modes = "full,freeze,scratch",
    epochs: Annotated[int, typer.Option(help="Epochs of the full training.")] = 100,
    imgsz: ImageSize = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Rank public weights that promise little too, one a family; --device and limits imply it.",
        ),
    ] = False,
    here: Annotated[bool, typer.Option("--here", help="Only weights that are on this machine.")] = False,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="rpi5|t4|…",
            rich_help_panel=LIMITS,
            help="Where it will run: `recommend devices` lists them.",
        ),
    ] = None,
    max_latency: Annotated[
        str | None, typer.Option(metavar="30ms", rich_help_panel=LIMITS, help="Of one image on the device.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="512MB", rich_help_panel=LIMITS, help="On the device.")
    ] = None,
    max_flops: Annotated[
        str | None, typer.Option(metavar="20G", rich_help_panel=LIMITS, help="Operations for one image.")
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="t4|a100|…", rich_help_panel=LIMITS, help="That will train; else this machine."),
    ] = None,
    max_hours: Annotated[
        str | None, typer.Option(metavar="H", rich_help_panel=LIMITS, help="Of the full training.")
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            metavar="5",
            rich_help_panel=LIMITS,
            help="Of the full training, in the currency of --price.",
        ),
    ] = None,
    price: Annotated[
        str | None, typer.Option(metavar="0.35/h", rich_help_panel=LIMITS, help="Of an hour of training.")
    ] = None,
    expand: Annotated[
        bool,
        typer.Option(
            "--expand",
            rich_help_panel=SHOWN,
            help="Show every image size looked at, and the starts left out.",
        ),
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="K", rich_help_panel=SHOWN, help="Show the first K; COCO and scratch always show."
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=TRIALS,
            help="Try at most N starts first, each for a tenth of --epochs, at least ten; else none.",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="10m|2gpu-h", rich_help_panel=TRIALS, help="Try starts for at most this long, a hard cap."
        ),
    ] = None,
    axes: AxesChoice = None,
    address: Address = None,
    gpus_per_trial: GpusPerTrial = None,
    max_params: MaxParams = None,
    licence: Annotated[
        str,
        typer.Option(
            metavar="permissive|any",
            rich_help_panel=LIMITS,
            help="Leave out what asks for more than attribution.",
        ),
    ] = "any",
    offline: Annotated[bool, typer.Option("--offline", help="Never reach for the network.")] = False,
    seed: Annotated[
        int, typer.Option(help="Of the forecast's draws; the same seed gives the same answer.")
    ] = 0,
    max_feature_candidates: Annotated[
        int, typer.Option(metavar="N", help="Checkpoints whose own features are measured on your objects.")
    ] = 12,
    task: TaskChoice = None,
    allow_root: AllowRoots = None,
    as_json: AsJson = False,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", rich_help_panel=SHOWN, help="Write the answer as one self-contained page."
        ),
    ] = None,
    launch: Annotated[
        bool, typer.Option("--launch", help="Start the full training of the first start.")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", rich_help_panel=SHOWN, help="No progress; any subcommand takes it too."
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Rank the starts for a data set: [bold]recommend --dataset PATH[/bold]."""
    if context.invoked_subcommand is not None:
        source = context.get_parameter_source("dataset")
        if source is not None and source.name == "COMMANDLINE":  # a default of the config file is no mistake
            raise UsageError(f"--dataset belongs after {context.invoked_subcommand!r}, not before it.")
        return
    if dataset is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    # An answer reads some 100 MB of small records and ends: looking for garbage among them is a tenth of its time.
    gc.set_threshold(50_000, 20, 20)
    from recommender.cli.main_job import main_job

    main_job(context)
