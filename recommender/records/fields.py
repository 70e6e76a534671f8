"""Fields of records: what they mean in the JSON schema of what is published, and those that two kinds share."""

from __future__ import annotations

from typing import Any


def described(text: str) -> dict[str, str]:
    """The metadata of a dataclass's field from which pydantic takes its description.

    A string below the field would do too, but to find it pydantic reads the source of every record at each start.
    """
    return {"description": text}


def same_fields(kind: Any, record: object) -> dict[str, Any]:
    """The values of the fields of `kind`, a dataclass or a pydantic model, that a record has under the same names."""
    names = getattr(kind, "__dataclass_fields__", None) or kind.model_fields
    return {name: getattr(record, name) for name in names if hasattr(record, name)}
