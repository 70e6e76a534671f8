"""Class names that mean the same thing, across spellings and a small table of synonyms."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from recommender.errors import UsageError
from recommender.text import printable

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_WORDNET = re.compile(r"(n\d{8})(?:[-_. ]+(.+))?")
_NUMBERED = re.compile(r"^\d{3}\.(?=\D)")
_SEPARATORS = re.compile(r"[\W_]+")
_PLACEHOLDER = re.compile(r"(class|cls|object|obj|label|category|item|unknown)?\d*")
_IRREGULAR = {
    "buses": "bus",
    "gases": "gas",
    "knives": "knife",
    "leaves": "leaf",
    "lenses": "lens",
    "shelves": "shelf",
    "wolves": "wolf",
    **{word: word for word in ("lens", "gas", "scissors", "skis", "pants", "jeans", "shorts", "species")},
}


@dataclass(frozen=True, kw_only=True)
class ClassMatch:
    """A class of the target that the source knows too."""

    target: int  # indices of the classes
    source: int
    kind: Literal["exact", "alias"]  # the same name, or a synonym


def normalise(name: str) -> str:
    """Lower case, single spaces for any punctuation or camel case, each word in the singular.

    "Traffic_Lights", "trafficLight" and "traffic-light" become "traffic light". Digits keep their meaning, but for
    numbers that data sets put before a name: "n02085620-Chihuahua" (WordNet's) and "001.Albatross" lose them. A number
    of WordNet's alone becomes the name that ImageNet's classifiers have for it.
    """
    if match := _WORDNET.fullmatch(name):
        name = match[2] or _names_of_wordnet().get(match[1], name)
    name = _NUMBERED.sub("", name)
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFKC", name))
    folded = unicodedata.normalize("NFKC", spaced.casefold())
    return " ".join(_singular(word) for word in _SEPARATORS.sub(" ", folded).split())


def overlap(target_names: Sequence[str], source_names: Sequence[str]) -> tuple[ClassMatch, ...]:
    """The target's classes that the source knows, each with its best counterpart, in the target's order.

    The same name beats a synonym. Placeholders ("0", "class_3") carry no meaning and match nothing when
    a whole list is made of them.
    """
    if _all_placeholders(target_names) or _all_placeholders(source_names):
        return ()
    by_name: dict[str, int] = {}
    by_group: dict[str, int] = {}
    for index, name in enumerate(source_names):
        key = normalise(name)
        by_name.setdefault(key, index)
        by_group.setdefault(_group(key), index)
    matches = []
    for index, name in enumerate(target_names):
        key = normalise(name)
        if not key:
            continue
        if key in by_name:
            matches.append(ClassMatch(target=index, source=by_name[key], kind="exact"))
        elif _group(key) in by_group:
            matches.append(ClassMatch(target=index, source=by_group[_group(key)], kind="alias"))
    return tuple(matches)


def mapped(names: Sequence[str], class_map: Mapping[str, str]) -> tuple[str, ...]:
    """The names to match with, a class called as `class_map` says where it names it, by its normalised name.

    Raises UsageError for a class that is not among `names`.
    """
    wanted = {normalise(own): other for own, other in class_map.items()}
    missing = wanted.keys() - {normalise(name) for name in names}
    if missing:
        raise UsageError(
            f"--map names {', '.join(sorted(missing))}, which the data set does not have.",
            remedy=f"Its classes are {', '.join(map(printable, names[:20]))}.",
        )
    return tuple(wanted.get(normalise(name), name) for name in names)


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or not word.isascii() or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zzes", "oes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def _group(normalised: str) -> str:
    return _aliases().get(normalised, normalised)


@functools.cache
def _aliases() -> dict[str, str]:
    groups: list[list[str]] = json.loads(
        (files("recommender") / "class_aliases.json").read_text(encoding="utf-8")
    )["groups"]
    return {normalise(name): normalise(group[0]) for group in groups for name in group}


@functools.cache
def _names_of_wordnet() -> dict[str, str]:
    """The names of ImageNet's classes by their numbers in WordNet, as ultralytics lists them; read, not imported."""
    found = find_spec("ultralytics")
    folders = found.submodule_search_locations if found is not None else None
    listed = Path(next(iter(folders or ()), "")) / "cfg" / "datasets" / "ImageNet.yaml"
    text = listed.read_text(encoding="utf-8") if listed.is_file() else ""
    return dict(re.findall(r"^  (n\d{8}): (\S+)$", text, re.MULTILINE))


def _all_placeholders(names: Sequence[str]) -> bool:
    return all(_PLACEHOLDER.fullmatch(normalise(name).replace(" ", "")) for name in names)
