"""The data sets registered with a service, each with its owner."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from recommender.store.database import lock_name, require_key, storable
from recommender.store.repository import Repository
from recommender.store.rows import checked, columns_of
from recommender.store.service_models import RegisteredDatasetRow
from recommender.store.service_records import Page, RegisteredDataset


class RegisteredDatasets(Repository):
    """Data sets of the service, keyed by id; one owner holds a content once."""

    def add(self, dataset: RegisteredDataset) -> RegisteredDataset:
        """Keep a data set; returns the one the owner already holds where content and path are the same."""
        require_key("data set id", dataset.id)

        def work(session: Session) -> RegisteredDataset:
            lock_name(session, f"{dataset.owner} {dataset.dataset_hash}")
            query = select(RegisteredDatasetRow).where(
                RegisteredDatasetRow.owner == dataset.owner,
                RegisteredDatasetRow.dataset_hash == dataset.dataset_hash,
            )
            for row in session.scalars(query):
                known = checked(RegisteredDataset, row)
                if known.origin == dataset.origin and (
                    known.origin == "upload" or known.path == dataset.path
                ):
                    return known
            session.merge(_row(dataset))
            return dataset

        return self._write(work)

    def get(self, id: str) -> RegisteredDataset | None:
        """The data set of this id, or None."""
        return self._record(RegisteredDataset, RegisteredDatasetRow, id)

    def page(
        self, *, owner: str | None, cursor: str | None = None, limit: int = 50
    ) -> Page[RegisteredDataset]:
        """Data sets of an owner, or of all, newest first."""
        query = select(RegisteredDatasetRow)
        if owner is not None:
            query = query.where(RegisteredDatasetRow.owner == owner)
        return self._page(partial(checked, RegisteredDataset), RegisteredDatasetRow, query, cursor, limit)

    def of_hashes(self, hashes: Collection[str]) -> tuple[RegisteredDataset, ...]:
        """Every registered data set with one of these contents."""
        query = (
            select(RegisteredDatasetRow)
            .where(RegisteredDatasetRow.dataset_hash.in_([text for text in hashes if storable(text)]))
            .order_by(RegisteredDatasetRow.created_at)
        )
        return self._records(RegisteredDataset, query)

    def any_mentions(self, text: str, *, besides: str = "") -> bool:
        """True when a record of any owner, but the one of this id, has this text in it, such as a folder's name."""
        query = (
            select(RegisteredDatasetRow.id)
            .where(
                RegisteredDatasetRow.record.contains(text, autoescape=True),
                RegisteredDatasetRow.id != besides,
            )
            .limit(1)
        )
        return self._read(lambda session: session.scalar(query)) is not None

    def of_owner(self, owner: str) -> tuple[RegisteredDataset, ...]:
        """Every data set of an owner."""
        query = select(RegisteredDatasetRow).where(RegisteredDatasetRow.owner == owner)
        return self._records(RegisteredDataset, query)

    def at_paths(self, owner: str, paths: Collection[str]) -> tuple[RegisteredDataset, ...]:
        """The data sets that an owner holds at these paths."""
        return tuple(dataset for dataset in self.of_owner(owner) if dataset.path in set(paths))

    def set_health(self, id: str, health: str) -> None:
        """Keep what the inspection found."""

        def work(session: Session) -> None:
            row = session.get(RegisteredDatasetRow, id, with_for_update=True)
            if row is not None:
                session.merge(_row(replace(checked(RegisteredDataset, row), health=health)))

        self._write(work)

    def remove(self, id: str) -> bool:
        """Forget a data set; False when there was none. Its files are the service's business."""
        return self._remove(RegisteredDatasetRow, id)


def _row(dataset: RegisteredDataset) -> RegisteredDatasetRow:
    return RegisteredDatasetRow(
        id=dataset.id,
        owner=dataset.owner,
        dataset_hash=dataset.dataset_hash,
        created_at=dataset.created_at,
        **columns_of(dataset),
    )
