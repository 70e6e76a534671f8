"""Frozen records ↔ JSON text, exactly: what is read equals what was written.

The text is ASCII, so names of any bytes survive in any database: NUL, lone surrogates, emoji. A field that a
newer version added is ignored, one that an older version did not know takes its default. A field marked
`once_beside` is a mapping whose entries an older version stored as numbers beside the record's fields.
"""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from recommender.errors import StorageError

RecordT = TypeVar("RecordT")
_Decoder = Callable[[Any], Any]


def encode(record: Any) -> str:
    """A record as JSON text. Raises StorageError for numbers that are not finite."""
    try:
        return json.dumps(asdict(record), allow_nan=False, sort_keys=True, default=_plain)
    except (TypeError, ValueError) as error:
        raise StorageError(
            f"A {type(record).__name__} cannot be stored: {error}.",
            remedy="Only finite numbers, text, paths and records of them are kept.",
        ) from error


def decode(kind: type[RecordT], text: str) -> RecordT:
    """The record that `encode` wrote. Raises StorageError where the text does not fit."""
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise _unreadable(kind, error) from error
    return from_parsed(kind, parsed)


def from_parsed(kind: type[RecordT], value: Any) -> RecordT:
    """The record of parsed JSON. Raises StorageError where it does not fit."""
    try:
        return cast(RecordT, _decoder(cast(Any, kind))(value))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(kind, error) from error


def _unreadable(kind: type, error: Exception) -> StorageError:
    return StorageError(
        f"A stored {kind.__name__} cannot be read: {error!r}.",
        remedy="Restore the store from a backup, or update checkpoint-recommender.",
    )


def digest_of(text: str) -> str:
    """Checksum of a stored text: a flipped bit inside a number still parses, so it is checked apart."""
    return hashlib.sha256(text.encode("ascii", "replace")).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    item = getattr(value, "item", None)  # numbers of numpy
    if callable(item):
        return item()
    raise TypeError(f"{type(value).__name__} is not a type that records hold")


@cache
def _decoder(kind: Any) -> _Decoder:
    """A function that rebuilds a value of this type from parsed JSON."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _record_decoder(cast(type, kind))
    if origin in (Union, types.UnionType):
        inner = _decoder(next(choice for choice in arguments if choice is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        inner = _decoder(arguments[0])
        return lambda value: tuple([inner(item) for item in value])
    if origin is dict:
        inner = _decoder(arguments[1])
        return lambda value: {key: inner(item) for key, item in value.items()}
    if origin is Literal:
        return lambda value: _one_of(value, arguments)
    if kind is Path:
        return Path
    if kind is float:
        return _number
    return lambda value: _instance(value, kind)


def _record_decoder(kind: type) -> _Decoder:
    hints = get_type_hints(kind)
    plan = [(entry.name, _decoder(hints[entry.name])) for entry in fields(kind)]
    required = {
        entry.name for entry in fields(kind) if entry.default is MISSING and entry.default_factory is MISSING
    }

    once_beside = next((entry.name for entry in fields(kind) if entry.metadata.get("once_beside")), None)

    def build(value: Any) -> Any:
        if not required <= value.keys():
            raise KeyError(f"{kind.__name__} lacks {sorted(required - value.keys())}")
        if once_beside is not None and once_beside not in value:
            value = value | {
                once_beside: {k: v for k, v in value.items() if k not in hints and type(v) is float}
            }
        return kind(**{name: inner(value[name]) for name, inner in plan if name in value})

    return build


def _number(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    raise TypeError(f"{value!r} is not a number")


def _instance(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _one_of(value: Any, choices: tuple[Any, ...]) -> Any:
    if value not in choices:
        raise ValueError(f"{value!r} is none of {choices}")
    return value
