"""data.yaml and class names. Nothing in it is run, and every scalar stays the text it is.

The loader builds strings, lists and dicts only, so a class named `yes` or `007` keeps its name.
Aliases are refused: they are the means of a bomb and no data set needs them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.limits import DatasetLimits
from recommender.errors import DatasetError, UnsafeInputError, WrongTaskError
from recommender.records import Split
from recommender.text import counted, printable

SPLIT_KEYS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
OTHER_TASKS = {"pose", "obb", "classify", "classification", "keypoints", "depth", "semantic", "panoptic"}
OTHER_TASK_REMEDY = (
    "Give rows of class and box, or of class and outline; a classification set is a folder for each class."
)


@dataclass(frozen=True, kw_only=True)
class Description:
    """The content of a data.yaml."""

    path: Path
    base: str  # the value of `path:`, empty when absent
    splits: dict[Split, tuple[str, ...]]
    class_names: tuple[str, ...] | None
    names_from_1: bool  # `names` is a mapping of 1, 2, … without 0
    download: bool
    portable: bool  # ultralytics finds the images by it, from whatever folder it is started


def load_yaml(text: str, named: str, limits: DatasetLimits) -> Any:
    """Parse YAML into str, list and dict. Raises UnsafeInputError for aliases and deep nesting."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise UnsafeInputError(
                    f"{printable(named)} uses YAML aliases.", remedy="Write the values out, without & and *."
                )
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > limits.yaml_depth:
                raise UnsafeInputError(
                    f"{printable(named)} nests deeper than {limits.yaml_depth} levels.",
                    remedy="A data.yaml needs two.",
                )
        return yaml.load(text, Loader=loader)  # noqa: S506 - BaseLoader builds only str, list and dict
    except yaml.YAMLError as error:
        problem = printable(getattr(error, "problem", None) or error)
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        raise DatasetError(
            f"{printable(named)} is not valid YAML{line}: {problem}.",
            remedy="Correct that line: indent with blanks, put names that hold signs in quotes, and keep one document.",
        ) from error


def _repeated_keys(text: str, loader: Any) -> Iterator[tuple[str, ...]]:
    """Keys that come twice in one mapping, each with the keys above it; the parser keeps the last silently."""
    import yaml

    def walk(node: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if isinstance(node, yaml.SequenceNode):
            for child in node.value:
                yield from walk(child, above)
        if isinstance(node, yaml.MappingNode):
            keys = [str(key.value) for key, _ in node.value]
            yield from ((*above, key) for key, count in Counter(keys).items() if count > 1)
            for (_, child), name in zip(node.value, keys, strict=True):
                yield from walk(child, (*above, name))

    yield from walk(yaml.compose(text, Loader=loader), ())


def _judge_keys(text: str, content: dict[str, Any], named: str, log: DefectLog) -> None:
    """Name keys that come twice, and channels other than 3. Raises DatasetError for a class id named twice."""
    import yaml

    for keys in _repeated_keys(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
        if keys[0].lower() == "names" and len(keys) > 1:
            raise DatasetError(
                f"`names` in {printable(named)} names the class {printable(keys[-1])} twice.",
                remedy="Give each class id one name.",
            )
        log.add("yaml_key_twice", named, ".".join(keys))
    channels = content.get("channels") or content.get("ch")
    if isinstance(channels, str) and channels.strip() not in ("", "3"):
        log.add("channels_not_three", named, f"channels: {channels}")


def read_description(path: Path, disk: Disk, log: DefectLog) -> Description | None:
    """Read a data.yaml; None when the file is YAML of another kind."""
    named = disk.name(path)
    text = disk.read_text(path, disk.limits.yaml_bytes)
    content = load_yaml(text, named, disk.limits)
    if not isinstance(content, dict):
        return None
    lower = {key.lower(): value for key, value in content.items() if isinstance(key, str)}
    splits = {split: _entries(lower, keys, named) for split, keys in SPLIT_KEYS.items()}
    if not any(splits.values()) or not ("names" in lower or "nc" in lower):
        return None
    _judge_keys(text, lower, named, log)
    base = lower.get("path") or ""
    if not isinstance(base, str):
        raise DatasetError(f"`path` in {printable(named)} is not a text.", remedy="Give one folder.")
    _refuse_other_tasks(lower, named)
    return Description(
        path=path,
        base=base.strip(),
        splits=splits,
        class_names=_class_names(lower, named, disk.limits, log),
        names_from_1=_count_from_1(lower.get("names")),
        download=bool(lower.get("download")),
        portable=bool(content.get("train") and content.get("val")) and _is_found_by_ultralytics(base.strip()),
    )


def names_alone(path: Path, disk: Disk, log: DefectLog) -> tuple[str, ...] | None:
    """The class names in a YAML that names no split; None in any other. Raises DatasetError for broken names."""
    named = disk.name(path)
    content = load_yaml(disk.read_text(path, disk.limits.yaml_bytes), named, disk.limits)
    lower = {str(key).lower(): value for key, value in content.items()} if isinstance(content, dict) else {}
    has_splits = any(lower.get(key) for keys in SPLIT_KEYS.values() for key in keys)
    return _class_names(lower, named, disk.limits, log) if "names" in lower and not has_splits else None


def _is_found_by_ultralytics(base: str) -> bool:
    """False for a relative `path`, which it looks for in the current folder, and for one that is not there."""
    return not base or (Path(base).is_absolute() and Path(base).is_dir())


def _entries(content: dict[str, Any], keys: tuple[str, ...], named: str) -> tuple[str, ...]:
    value = next((content[key] for key in keys if content.get(key)), "")
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) for entry in values):
        raise DatasetError(
            f"`{keys[0]}` in {printable(named)} is neither a path nor a list of paths.",
            remedy=f"Write `{keys[0]}: images/{keys[0]}`.",
        )
    return tuple(entry.strip() for entry in values if entry.strip())


def _refuse_other_tasks(content: dict[str, Any], named: str) -> None:
    if content.get("kpt_shape"):
        raise WrongTaskError(
            f"{printable(named)} describes a pose data set (kpt_shape), which is not read.",
            remedy=OTHER_TASK_REMEDY,
        )
    task = str(content.get("task") or "").strip().lower()
    if task in OTHER_TASKS:
        raise WrongTaskError(
            f"{printable(named)} says task: {task}; a data.yaml is read for detection and segmentation.",
            remedy=OTHER_TASK_REMEDY,
        )


def _class_names(
    content: dict[str, Any], named: str, limits: DatasetLimits, log: DefectLog
) -> tuple[str, ...] | None:
    names = content.get("names")
    count = _count(content.get("nc"), named, limits)
    if isinstance(names, list):
        if not all(isinstance(name, str) for name in names):
            raise DatasetError(
                f"`names` in {printable(named)} holds more than texts.", remedy="List one per class."
            )
        found = tuple(names)
    elif isinstance(names, dict):
        found = _numbered(names, named, limits, log)
    elif names:
        raise DatasetError(
            f"`names` in {printable(named)} is neither a list nor a mapping.",
            remedy="Write `names: [cat, dog]`.",
        )
    else:
        if count is not None:
            log.add("names_missing", named)
        return tuple(str(i) for i in range(count)) if count is not None else None
    if len(found) > limits.num_classes:
        raise DatasetError(
            f"{printable(named)} names {counted(len(found), 'class')}, at most {limits.num_classes} are read."
        )
    if count is not None and count != len(found):
        log.add("nc_mismatch", named, f"nc is {count}, names holds {len(found)}")
    return found


def _count_from_1(names: Any) -> bool:
    return isinstance(names, dict) and sorted(map(int, names)) == list(range(1, len(names) + 1))


def _count(value: Any, named: str, limits: DatasetLimits) -> int | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > 9:
        raise DatasetError(f"`nc` in {printable(named)} is {printable(value)}, not a whole number.")
    if int(value) > limits.num_classes:
        raise DatasetError(f"`nc` in {printable(named)} is {value}, at most {limits.num_classes} are read.")
    return int(value)


def _numbered(names: dict[Any, Any], named: str, limits: DatasetLimits, log: DefectLog) -> tuple[str, ...]:
    numbers = {}
    for key, name in names.items():
        if not (
            isinstance(key, str)
            and key.isascii()
            and key.isdigit()
            and len(key) < 10
            and int(key) < limits.num_classes
        ):
            raise DatasetError(
                f"`names` in {printable(named)} has the key {printable(key)}.",
                remedy=f"Keys are whole numbers from 0, below {limits.num_classes}.",
            )
        if not isinstance(name, str):
            raise DatasetError(f"`names` in {printable(named)}: the name of {key} is not a text.")
        numbers[int(key)] = name
    size = max(numbers, default=-1) + 1
    missing = [i for i in range(size) if i not in numbers]
    if missing:
        log.add("names_incomplete", named, f"no name for {missing[:5]}", count=len(missing))
    return tuple(numbers.get(i, str(i)) for i in range(size))
