"""Registered and fetched checkpoints in the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from recommender.errors import ConflictError
from recommender.records import Checkpoint
from recommender.store.database import require_key
from recommender.store.models import CheckpointRow
from recommender.store.repository import Repository, in_parts
from recommender.store.rows import checked, columns_of


class Checkpoints(Repository):
    """Checkpoints, keyed by name."""

    def put(self, checkpoint: Checkpoint, *, replace: bool = False) -> None:
        """Keep a checkpoint. Raises ConflictError when the name is taken by another and `replace` is off."""
        self._write(lambda session: record_checkpoint(session, checkpoint, replace=replace))

    def put_all(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Keep several in one transaction. Raises ConflictError as `put` does, and keeps none then."""
        several = tuple(checkpoints)

        def work(session: Session) -> None:
            for checkpoint in several:
                record_checkpoint(session, checkpoint)

        self._write(work)

    def get(self, name: str) -> Checkpoint | None:
        """The checkpoint of this name, or None."""
        return self._record(Checkpoint, CheckpointRow, name)

    def list(self) -> tuple[Checkpoint, ...]:
        """All of them, by name."""
        found = self._records(Checkpoint, select(CheckpointRow))
        return tuple(sorted(found, key=lambda one: one.name))  # a PostgreSQL may sort by its language

    def count(self) -> int:
        """The number of checkpoints."""
        return self._read(
            lambda session: session.scalar(select(func.count()).select_from(CheckpointRow)) or 0
        )

    def named(self, names: Collection[str]) -> tuple[Checkpoint, ...]:
        """The checkpoints of these names, by name."""
        return self._where(CheckpointRow.name, names, None)

    def of_weights(self, hashes: Collection[str]) -> tuple[Checkpoint, ...]:
        """The checkpoints whose weights have one of these sha256, by name."""
        return self._where(CheckpointRow.sha256, hashes, None)

    def of_sources(self, hashes: Collection[str], *, each: int) -> tuple[Checkpoint, ...]:
        """The `each` checkpoints that score best on each of these source data sets, by name."""
        return self._where(CheckpointRow.source_hash, hashes, each)

    def without_source(self, limit: int) -> tuple[Checkpoint, ...]:
        """The `limit` best-scoring checkpoints whose source data set is not known, by name."""
        query = (
            select(CheckpointRow)
            .where(CheckpointRow.source_hash.is_(None), CheckpointRow.kept)
            .order_by(func.coalesce(CheckpointRow.source_score, -1.0).desc(), CheckpointRow.name)
            .limit(limit)
        )
        return tuple(sorted(self._records(Checkpoint, query), key=lambda one: one.name))

    def _where(
        self, column: InstrumentedAttribute[Any], values: Collection[str], each: int | None
    ) -> tuple[Checkpoint, ...]:
        place = func.row_number().over(
            partition_by=column,
            order_by=(func.coalesce(CheckpointRow.source_score, -1.0).desc(), CheckpointRow.name),
        )

        def work(session: Session) -> list[CheckpointRow]:
            found: list[CheckpointRow] = []
            for values_of_part in in_parts(values):
                part = column.in_(values_of_part)
                query = select(CheckpointRow).where(part)
                if each is not None:
                    best = (
                        select(CheckpointRow.name, place.label("place"))
                        .where(part, CheckpointRow.kept)
                        .subquery()
                    )
                    query = select(CheckpointRow).join(best, best.c.name == CheckpointRow.name)
                    query = query.where(best.c.place <= each)
                found.extend(session.scalars(query))
            return found

        return tuple(checked(Checkpoint, row) for row in sorted(self._read(work), key=lambda row: row.name))

    def remove(self, name: str) -> bool:
        """Forget a checkpoint; False when there was none. Its file is the registry's business."""
        return self._remove(CheckpointRow, name)


def record_checkpoint(session: Session, checkpoint: Checkpoint, *, replace: bool = False) -> None:
    """Write a checkpoint inside a transaction. Raises ConflictError when the name is another's."""
    name = require_key("checkpoint name", checkpoint.name)
    row = session.get(CheckpointRow, name, with_for_update=True)
    columns = columns_of(checkpoint)
    if row is not None and row.record != columns["record"] and not replace:
        raise ConflictError(
            f"A checkpoint named {name!r} exists already.",
            remedy=f"Choose another name, or remove it with `recommend checkpoints remove {name}`.",
        )
    # A first one is no merge, which would look again and overwrite what another process has written meanwhile.
    put = session.add if row is None else session.merge
    put(
        CheckpointRow(
            name=name,
            **columns,
            source_hash=checkpoint.source_hash,
            sha256=checkpoint.sha256,
            source_score=checkpoint.source_score,
            kept=checkpoint.kept,
        )
    )
