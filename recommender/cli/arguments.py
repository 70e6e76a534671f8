"""Changes to the command line before it is parsed: a bare path, `--quiet` anywhere, and the config file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender.cli.mounts import COMMANDS, GROUPS
from recommender.errors import UsageError
from recommender.home import expanded
from recommender.text import printable

CONFIG = "recommend.toml"
PYPROJECT = "pyproject.toml"
REACHING = frozenset({"address", "storage", "html", "out", "launch", "allow_root"})  # beyond data and home
SHORT_DATASET = re.compile(r"-[hqy]*d")  # also behind other letters and before its value: -yd signs, -dsigns
SUBCOMMANDS = frozenset([*(name for name, _ in GROUPS), *(name for name, *_ in COMMANDS)])


def split_quiet(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments without `--quiet`, which may stand anywhere, and whether it was there."""
    kept = [argument for argument in arguments if argument not in ("--quiet", "-q")]
    return kept, len(kept) < len(arguments)


def with_dataset(arguments: Sequence[str], command: Any) -> list[str]:
    """`recommend --json data/signs` as `recommend --json --dataset data/signs`; anything else as it is.

    `command` is the main command, whose options tell which words are values. Raises UsageError for several data sets
    where one is read: the parser would take the last without a word.
    """
    flags = {name for option in command.params if option.is_flag or option.count for name in option.opts}
    place = 0
    named = sum(
        SHORT_DATASET.match(one) is not None or one.partition("=")[0] == "--dataset" for one in arguments
    )
    while place < len(arguments) and arguments[place].startswith("-"):
        option = arguments[place]
        short = SHORT_DATASET.match(option)
        has_value_within = "=" in option or (short is not None and short.end() < len(option))
        has_value_beside = option not in flags and not has_value_within
        place += 2 if has_value_beside else 1
    first, second = (*arguments[place : place + 2], "", "")[:2]
    bare = [_looks_like_path(first), _looks_like_path(first) and _looks_like_path(second)]
    if named + sum(bare) > 1 and first != "sweep":
        page = next((word for word in (first, second) if word.lower().endswith((".html", ".htm"))), None)
        raise UsageError(
            "Several data sets are named.",
            remedy="Ask about each on its own; `recommend sweep` takes several."
            if page is None
            else f"To write the answer as a page, say --html {printable(page)}.",
        )
    if bare[0]:
        return [*arguments[:place], "--dataset", *arguments[place:]]
    return list(arguments)


def _looks_like_path(word: str) -> bool:
    try:
        if not word or word.startswith("-") or word in SUBCOMMANDS:
            return False
        return "/" in word or "." in word or expanded(word).exists()
    except OSError:  # longer than a name may be
        return False


def configuration(command: Any, folder: Path, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Defaults of options from `recommend.toml`, or `[tool.recommend]` of `pyproject.toml`, in this folder.

    Keys are options as they are written after `--`: at the top those of `recommend --dataset`, in a table named after a
    subcommand that one's. Raises UsageError for a file that cannot be parsed, for an option that does not exist, and
    where the file came with the data set that the arguments name and sets an option of `REACHING`.
    """
    found = _read(folder / CONFIG)
    file = folder / CONFIG
    if found is None:
        file = folder / PYPROJECT
        tools = (_read(file) or {}).get("tool")
        found = tools.get("recommend") if isinstance(tools, dict) else None
    if found is not None and not isinstance(found, dict):
        raise UsageError(
            f"{file.name} sets tool.recommend, which is no table.", remedy="Write [tool.recommend]."
        )
    defaults = {} if found is None else _checked(command, found, file)
    if defaults:
        _refuse_planted(_running(command, with_dataset(arguments, command), defaults), file)
    return defaults


def _running(command: Any, arguments: Sequence[str], defaults: dict[str, Any]) -> Any:
    """The context of the command that these arguments run, as the parser reads them; faults are left to the run."""
    context, words = None, ["recommend", *arguments]
    known = {"recommend": command}
    while words and words[0] in known:
        more: dict[str, Any] = {"default_map": defaults} if context is None else {"parent": context}
        context = known[words[0]].make_context(words[0], words[1:], resilient_parsing=True, **more)
        known = getattr(context.command, "commands", {})
        words = [*context._protected_args, *context.args]
    return context


def _refuse_planted(context: Any, file: Path) -> None:
    planted = sorted(
        name
        for name in REACHING
        if getattr(context.get_parameter_source(name), "name", None) == "DEFAULT_MAP"
    )
    named = [context.params.get(name) for name in ("dataset", "path")]
    named = [one for value in named for one in (value if isinstance(value, list | tuple) else [value])]
    if planted and any(_is_set_around(str(name or ""), file.parent) for name in named):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in planted)
        raise UsageError(
            f"{file.name} lies in the data set and sets {options}: whoever made the data would choose that.",
            remedy="Give it on the command line, or move the file to a folder of your own.",
        )


def _is_set_around(name: str, folder: Path) -> bool:
    """True if the name is of a data set to which this folder, and what lies in it, belongs."""
    from recommender.datasets.archive import is_archive

    try:
        place = expanded(name).resolve()
        if not name or not place.exists():
            return False
        if place.is_file():  # a data.yaml or COCO file, which describes what lies beside it
            return place.parent == folder.resolve() and not is_archive(place)
        return folder.resolve().is_relative_to(place)
    except (OSError, ValueError):  # no name of a file
        return False


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        if file.name == PYPROJECT:
            return None  # somebody else's file; only a table of ours in it is our business
        raise UsageError(f"{file.name} cannot be read: {error}.", remedy="Mend it, or remove it.") from error


def _checked(command: Any, found: dict[str, Any], file: Path) -> dict[str, Any]:
    """The table with the names that the parser uses."""
    options = {
        name: parameter
        for parameter in command.params
        if not parameter.is_eager  # --version, --help
        for name in (parameter.name, *(option.strip("-").replace("-", "_") for option in parameter.opts))
    }
    commands: dict[str, Any] = getattr(command, "commands", {})
    defaults: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if isinstance(value, dict) and key in commands:
            defaults[key] = _checked(commands[key], value, file)
        elif name in options:
            defaults[options[name].name] = _value(options[name], value)
        else:
            raise UsageError(
                f"{file.name} sets {key!a}, which is no option of `recommend`.",
                remedy="`recommend --help` lists the options; a table such as [train] holds those of a subcommand.",
            )
    return defaults


def _value(option: Any, value: Any) -> Any:
    """A value as the parser takes it: a list for an option that is repeated, text with commas for any other."""
    if option.multiple:
        return value if isinstance(value, list) else [value]
    return ",".join(map(str, value)) if isinstance(value, list) else value
