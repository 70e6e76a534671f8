"""API keys and browser sessions in the store. Secrets are not: only digests of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from recommender.errors import StorageError
from recommender.records.fields import same_fields
from recommender.store.clock import utc_now
from recommender.store.database import require_key, storable
from recommender.store.repository import Repository
from recommender.store.service_models import ApiKeyRow, SessionRow
from recommender.store.service_records import ApiKey


class Keys(Repository):
    """Keys by their public id."""

    def add(self, key: ApiKey) -> None:
        """Keep a new key."""

        def work(session: Session) -> None:
            session.merge(_row(key))

        self._write(work)

    def add_first(self, key: ApiKey) -> bool:
        """Keep a key where there is none yet; False where there is one, that of a service started beside us included.

        All first keys must have the same id: its uniqueness decides between two that come at once.
        """

        def work(session: Session) -> bool:
            row = session.get(ApiKeyRow, key.id)
            if row is not None:  # ours, where a commit was made and its confirmation lost
                return row.digest == key.digest
            if session.scalar(select(func.count()).select_from(ApiKeyRow)):
                return False
            session.add(_row(key))
            return True

        try:
            return self._write(work)
        except StorageError as error:
            if isinstance(error.__cause__, IntegrityError):
                return False
            raise

    def get(self, id: str) -> ApiKey | None:
        """The key, revoked and expired ones too, or None."""
        if not storable(id):
            return None
        row = self._read(lambda session: session.get(ApiKeyRow, id))
        return None if row is None else _key(row)

    def list(self) -> tuple[ApiKey, ...]:
        """All keys, oldest first."""
        query = select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id)
        return tuple(_key(row) for row in self._read(lambda session: session.scalars(query).all()))

    def revoke(self, id: str) -> bool:
        """End a key and every session opened with it; False when there is no such key in force."""

        def work(session: Session) -> bool:
            session.execute(delete(SessionRow).where(SessionRow.key_id == id))
            change = (
                update(ApiKeyRow)
                .where(ApiKeyRow.id == id, ApiKeyRow.revoked_at.is_(None))
                .values(revoked_at=utc_now())
            )
            return cast(CursorResult[Any], session.execute(change)).rowcount > 0

        return storable(id) and self._write(work)

    def open_session(self, digest: str, key_id: str, expires_at: str) -> None:
        """Remember a browser by the digest of its cookie; forget those that have expired."""

        def work(session: Session) -> None:
            session.execute(delete(SessionRow).where(SessionRow.expires_at < utc_now()))
            session.merge(SessionRow(digest=digest, key_id=key_id, expires_at=expires_at))

        self._write(work)

    def of_session(self, digest: str) -> ApiKey | None:
        """The key behind a session that has not expired, or None."""
        query = (
            select(ApiKeyRow)
            .join(SessionRow, SessionRow.key_id == ApiKeyRow.id)
            .where(SessionRow.digest == digest, SessionRow.expires_at >= utc_now())
        )
        row = self._read(lambda session: session.scalars(query).first())
        return None if row is None else _key(row)

    def close_session(self, digest: str) -> None:
        """Forget a session."""

        def work(session: Session) -> None:
            session.execute(delete(SessionRow).where(SessionRow.digest == digest))

        self._write(work)


def _row(key: ApiKey) -> ApiKeyRow:
    require_key("key id", key.id)
    require_key("owner", key.owner)
    return ApiKeyRow(**asdict(key))


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(**same_fields(ApiKey, row))
