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
# Where to send, write, listen or fetch, and what allows more: a file of defaults may have come with a data set.
REACHING = frozenset(
    {
        *("address", "storage", "base_url", "from_file", "host", "port", "allowed_host", "behind_tls_proxy"),
        *("html", "out", "keep", "force", "launch", "role", "allow_root"),
        *("install_completion", "show_completion"),  # these write to .bashrc
    }
)
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


def configuration(command: Any, folder: Path) -> tuple[dict[str, Any], str]:
    """Defaults of options from `recommend.toml`, or `[tool.recommend]` of `pyproject.toml`, in this folder; which file.

    Keys are options as they are written after `--`: at the top those of `recommend --dataset`, in a table named after a
    subcommand that one's. Raises UsageError for a file that cannot be parsed, and for an option that does not exist or
    is one of `REACHING`.
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
    return {} if found is None else _checked(command, found, file), file.name


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        if file.name == PYPROJECT:
            return None  # somebody else's file; only a table of ours in it is our business
        raise UsageError(f"{file.name} cannot be read: {error}.", remedy="Mend it, or remove it.") from error


def _checked(command: Any, found: dict[str, Any], file: Path) -> dict[str, Any]:
    """The table with the names that the parser uses."""
    options = {
        name: parameter
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.is_eager  # no --version, --help
        for name in (parameter.name, *(option.strip("-").replace("-", "_") for option in parameter.opts))
    }
    commands: dict[str, Any] = getattr(command, "commands", {})
    defaults: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if isinstance(value, dict) and key in commands:
            defaults[key] = _checked(commands[key], value, file)
        elif name in options and options[name].name in REACHING:
            raise UsageError(
                f"{file.name} sets {key!a}, which only the command line may: the file may have come with a data set.",
                remedy="Take it out of the file, and give the option with the command.",
            )
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
