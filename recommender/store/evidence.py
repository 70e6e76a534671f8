"""Feature evidence in the store: a cache that any change of its key makes void."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.orm import Session

from recommender.errors import StorageError
from recommender.records import Evidence
from recommender.store.database import require_key, storable
from recommender.store.models import EvidenceRow
from recommender.store.repository import Repository, in_parts
from recommender.store.rows import checked, columns_of


class EvidenceCache(Repository):
    """Evidence, keyed by data set hash, weights and the version of the code and settings that measured."""

    def put_all(
        self, dataset_hash: str, version: str, by_weights: Mapping[str, Evidence], *, replacing: bool = True
    ) -> None:
        """Keep what was measured on a data set, by the weights' sha256, in place of what is there, or beside it."""
        require_key("data set hash", dataset_hash)
        require_key("evidence version", version)
        records = [
            (require_key("weights hash", weights), columns_of(one))
            for weights, one in sorted(by_weights.items())
        ]

        def work(session: Session) -> None:
            for weights, columns in records:
                if not replacing and session.get(EvidenceRow, (dataset_hash, weights, version)) is not None:
                    continue
                # An added one collides with another's, and is tried again.
                put = session.merge if replacing else session.add
                put(
                    EvidenceRow(dataset_hash=dataset_hash, weights_sha256=weights, version=version, **columns)
                )

        self._write(work)

    def of(
        self, datasets: Collection[str], weights: Collection[str], version: str
    ) -> dict[tuple[str, str], Evidence]:
        """The evidence measured of these weights on these data sets, by both; damaged rows are left out."""
        hashes = sorted(value for value in set(datasets) if storable(value))

        def work(session: Session) -> list[EvidenceRow]:
            found: list[EvidenceRow] = []
            for part in in_parts(weights):
                query = select(EvidenceRow).where(
                    EvidenceRow.dataset_hash.in_(hashes),
                    EvidenceRow.weights_sha256.in_(part),
                    EvidenceRow.version == version,
                )
                found.extend(session.scalars(query))
            return found

        measured = {}
        for row in self._read(work) if storable(version) and hashes else ():
            with suppress(StorageError):
                measured[row.dataset_hash, row.weights_sha256] = checked(Evidence, row)
        return measured
