"""The classes of mask values: a legend file of colours, or a list of names by number."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recommender.datasets.disk import Disk
from recommender.datasets.json_text import load_json
from recommender.errors import DatasetError
from recommender.text import printable

BACKGROUND = re.compile(r"(?i)^_*(back_?ground|bg|void|unlabell?ed|ignore|none|nothing|border|unknown)_*$")
IGNORE = "__ignore__"  # LabelMe's line for −1, above the one for 0
LEGEND_WORDS = ("label", "class", "colo", "legend", "palette", "names")
TRIPLE = re.compile(r"(?<![\d.])(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})(?![\d.])")
NUMBERED = re.compile(r"(\d{1,5})(?:\s*[,;:\t]\s*|\s+)([^,;\t]*[^\W\d][^,;\t]*)")
HEX = re.compile(r"#([0-9a-fA-F]{6})\b")


@dataclass(frozen=True, kw_only=True)
class Legend:
    """Names by value; a colour's value is 0xRRGGBB. What is background has no name."""

    by_colour: bool
    names: dict[int, str]
    background: frozenset[int]
    counts: bool = False  # perhaps of images: `{"train": 100, "val": 20}`


def find_legend(root: Path, disk: Disk) -> Legend | None:
    """The one legend below `root`; what may be counts where there is no other. Raises DatasetError where two differ."""
    found: list[tuple[Path, Legend]] = []
    for path in disk.walk(root):
        named = any(word in path.stem.lower() for word in LEGEND_WORDS)
        if named and path.suffix.lower() in (".txt", ".csv", ".json"):
            legend = _read(path, disk)
            if legend is not None:
                found.append((path, legend))
    found = [entry for entry in found if entry[1].by_colour] or found  # colours say more than numbers
    found = [entry for entry in found if not entry[1].counts] or found
    if len({json.dumps(sorted(legend.names.items())) for _, legend in found}) > 1:
        if found[0][1].counts:
            return None
        shown = ", ".join(printable(disk.name(path)) for path, _ in found[:3])
        raise DatasetError(f"Several legends of masks, which differ: {shown}.", remedy="Keep the right one.")
    return found[0][1] if found else None


def fitted(legend: Legend, shown: Set[int], named: str) -> Legend | None:
    """The legend, its one name for the one value that is `shown`, whatever its number: white is 1 or 255.

    None where it may be counts and does not name all that is shown; 255 may be a border beside others.
    Raises DatasetError where masks show something, and nothing that their legend names.
    """
    values = sorted(shown - legend.background)
    if legend.counts and not (shown - {0, 255} or shown - {0}) <= legend.names.keys():
        return None
    if not values or any(value in legend.names for value in values):
        return legend
    if len(legend.names) == len(values) == 1 and not legend.by_colour:
        return replace(legend, names=dict(zip(values, legend.names.values(), strict=True)))
    held, known = (
        ", ".join(f"#{value:06x}" if legend.by_colour else str(value) for value in sorted(some)[:4])
        for some in (values, legend.names)
    )
    raise DatasetError(
        f"The masks of {printable(named)} hold the values {held}, and their legend names {known or 'none'}.",
        remedy="Correct the legend: a CSV of lines `value,name`, or for colours lines `name r g b`.",
    )


def _read(path: Path, disk: Disk) -> Legend | None:
    lines: list[str] = []
    if path.suffix.lower() == ".json":
        try:
            content = load_json(path, disk)
        except DatasetError:
            return None
        rows = list(_of_json(content))
        lines = list(_numbered_lines(content))
    else:
        content = disk.read_text(path, disk.limits.yaml_bytes)
        lines = [line.strip() for line in content.splitlines() if line.strip()]
        rows = list(_of_lines(lines, path))
    colours = {value: name for name, value in rows if value is not None}
    if colours and len(colours) == len(rows):
        return _legend(colours, by_colour=True)
    if not colours and (numbers := _numbers(lines)):
        legend = _legend(numbers, by_colour=False)
        named = isinstance(content, dict) and all(type(value) is int for value in content.values())
        sure = any(map(BACKGROUND.match, numbers.values())) or numbers.keys() == {1}
        return replace(legend, counts=named and not sure)
    if path.suffix.lower() == ".txt" and rows and not colours:
        names = [name for name, _ in rows if name.casefold() != IGNORE]
        first = 0 if BACKGROUND.match(names[0]) else 1  # without a name for the background, it is 0
        return _legend(dict(enumerate(names, first)), by_colour=False)
    return None


def _numbered_lines(content: Any) -> Iterator[str]:
    """Number and name a line, of `{"cat": 50}` or `{"50": "cat"}`; none where anything else stands in it."""
    pairs = list(content.items()) if isinstance(content, dict) else []
    if all(type(value) is int for _, value in pairs):
        yield from (f"{value},{key}" for key, value in pairs)
    elif all(isinstance(value, str) for _, value in pairs):
        yield from (f"{key},{value}" for key, value in pairs)


def _legend(names: dict[int, str], *, by_colour: bool) -> Legend:
    background = {value for value, name in names.items() if BACKGROUND.match(name)}
    kept = {value: name for value, name in names.items() if value not in background}
    return Legend(by_colour=by_colour, names=kept, background=frozenset(background | {0} - set(kept)))


def _of_lines(lines: list[str], path: Path) -> Iterator[tuple[str, int | None]]:
    """`name:r,g,b::` (CVAT), `name r g b`, `r g b name`, CSV columns of these, or names alone."""
    table = path.suffix.lower() == ".csv"
    for number, line in enumerate(lines):
        if line.startswith("#") and not HEX.match(line):
            continue
        colour, rest = _colour(line)
        if colour is None and table:
            if number:
                yield line, None
            continue  # the head of the table
        cells = rest.replace(":", ",").replace("\t", ",").split(",")
        words = [cell.strip(' ;,"') for cell in cells if cell.strip(' ;,"') and not cell.strip().isdigit()]
        yield (words[0] if words else rest.strip()), colour


def _numbers(lines: list[str]) -> dict[int, str]:
    """Names by the number before each, under a head or without one: Roboflow's `Pixel Value, Class`; else empty."""
    found = [NUMBERED.fullmatch(line) for line in lines]
    rows = [match for match in (found if found and found[0] else found[1:]) if match]
    names = {int(match[1]): match[2].strip(' "') for match in rows}
    whole = len(rows) >= len(lines) - 1 and len(names) == len(rows) and len(set(names.values())) == len(names)
    return names if whole else {}


def _colour(line: str) -> tuple[int | None, str]:
    if match := HEX.search(line):
        return int(match.group(1), 16), line[: match.start()] + line[match.end() :]
    match = next((m for m in TRIPLE.finditer(line) if all(int(v) < 256 for v in m.groups())), None)
    if match is None:
        return None, line
    red, green, blue = map(int, match.groups())
    return red << 16 | green << 8 | blue, line[: match.start()] + "," + line[match.end() :]


def _of_json(content: Any) -> Iterator[tuple[str, int | None]]:
    """`{"cat": [128, 0, 0]}`, `{"#800000": "cat"}` or a list of objects with a name and a colour."""
    if isinstance(content, dict):
        inner = next(
            (v for k, v in content.items() if isinstance(v, list | dict) and k in ("classes", "labels")), None
        )
        if inner is not None:
            yield from _of_json(inner)
            return
        for key, value in content.items():
            text = str(value).strip("[]()") if not isinstance(value, str) else value
            colour, _ = _colour(text)
            if colour is not None:
                yield str(key), colour
            elif (colour := _colour(str(key).strip("[]()"))[0]) is not None and isinstance(value, str):
                yield value, colour
    elif isinstance(content, list):
        for row in content:
            name = row.get("name", row.get("label", row.get("title"))) if isinstance(row, dict) else None
            colour = next((v for k, v in row.items() if k.lower().startswith("colo")), None) if name else None
            if isinstance(name, str) and colour is not None:
                yield name, _colour(str(colour).strip("[]()"))[0]
