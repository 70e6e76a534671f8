"""The meaning of a record's field, for the JSON schema of what is published."""

from __future__ import annotations


def described(text: str) -> dict[str, str]:
    """The metadata of a dataclass's field from which pydantic takes its description.

    A string below the field would do too, but to find it pydantic reads the source of every record at each start.
    """
    return {"description": text}
