"""Records from rows that keep them as text, checksum first."""

from __future__ import annotations

from typing import Protocol, TypeVar

from recommender.errors import StorageError
from recommender.store.records_json import decode, digest_of

RecordT = TypeVar("RecordT")


class RecordRow(Protocol):
    """A row that keeps a record as text."""

    record: str
    digest: str


def checked(kind: type[RecordT], row: RecordRow) -> RecordT:
    """The record of a row. Raises StorageError when its text is not what was written."""
    if digest_of(row.record) != row.digest:
        raise StorageError(
            f"A stored {kind.__name__} is damaged: its checksum does not match.",
            remedy="Restore the store from a backup; `recommend doctor` tests it.",
        )
    return decode(kind, row.record)
