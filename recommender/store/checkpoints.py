"""Registered and fetched checkpoints in the store."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from recommender.errors import ConflictError
from recommender.records import Checkpoint
from recommender.store.database import require_key, storable
from recommender.store.models import CheckpointRow
from recommender.store.records_json import digest_of, encode
from recommender.store.repository import Repository
from recommender.store.rows import checked


class Checkpoints(Repository):
    """Keyed by name."""

    def put(self, checkpoint: Checkpoint, *, replace: bool = False) -> None:
        """Keep a checkpoint. Raises ConflictError when the name is taken by another and `replace` is off."""
        self._write(lambda session: record_checkpoint(session, checkpoint, replace=replace))

    def get(self, name: str) -> Checkpoint | None:
        """The checkpoint of this name, or None."""
        if not storable(name):
            return None
        row = self._read(lambda session: session.get(CheckpointRow, name))
        return None if row is None else checked(Checkpoint, row)

    def list(self) -> tuple[Checkpoint, ...]:
        """All of them, by name."""
        query = select(CheckpointRow).order_by(CheckpointRow.name)
        rows = self._read(lambda session: session.scalars(query).all())
        return tuple(checked(Checkpoint, row) for row in rows)

    def remove(self, name: str) -> bool:
        """Forget a checkpoint; False when there was none. Its file is the registry's business."""

        def work(session: Session) -> bool:
            row = session.get(CheckpointRow, name)
            if row is None:
                return False
            session.delete(row)
            return True

        return storable(name) and self._write(work)


def record_checkpoint(session: Session, checkpoint: Checkpoint, *, replace: bool = False) -> None:
    """Write a checkpoint inside a transaction. Raises ConflictError when the name is another's."""
    name = require_key("checkpoint name", checkpoint.name)
    record = encode(checkpoint)
    row = session.get(CheckpointRow, name, with_for_update=True)
    if row is not None and row.record != record and not replace:
        raise ConflictError(
            f"A checkpoint named {name!r} exists already.",
            remedy=f"Choose another name, or remove it with `recommend checkpoints remove {name}`.",
        )
    session.merge(CheckpointRow(name=name, record=record, digest=digest_of(record)))
