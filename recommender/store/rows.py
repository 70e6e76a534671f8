"""Records as rows keep them: text with a checksum, which is looked at first when it is read."""

from __future__ import annotations

from typing import Protocol, TypeVar

from recommender.errors import StorageError
from recommender.store.records_json import decode, digest_of, encode

RecordT = TypeVar("RecordT")


class RecordRow(Protocol):
    """A row that keeps a record as text."""

    record: str
    digest: str


def columns_of(record: object) -> dict[str, str]:
    """The columns in which a row keeps a record. Raises StorageError for numbers that are not finite."""
    text = encode(record)
    return {"record": text, "digest": digest_of(text)}


def checked(kind: type[RecordT], row: RecordRow) -> RecordT:
    """The record of a row. Raises StorageError when its text is not what was written."""
    if digest_of(row.record) != row.digest:
        raise StorageError(
            f"A stored {kind.__name__} is damaged: its checksum does not match.",
            remedy="Restore the store from a backup; `recommend doctor` tests it.",
        )
    return decode(kind, row.record)
