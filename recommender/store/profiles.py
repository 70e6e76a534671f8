"""Profiles of data sets in the store, and the fingerprint by which the index knows that it is stale."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Collection, Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from recommender.records import Profile
from recommender.store.codec import from_bytes, to_bytes
from recommender.store.database import require_key, storable
from recommender.store.models import MetaRow, ProfileRow
from recommender.store.repository import Repository, in_parts

_GENERATION = "profiles_generation"


class Profiles(Repository):
    """Profiles, keyed by content hash and encoder: vectors of two encoders never meet."""

    def put(self, profile: Profile) -> None:
        """Keep a profile; an equal one is left alone, another one of the same key is replaced."""
        self.put_all((profile,))

    def put_all(self, profiles: Iterable[Profile]) -> None:
        """Keep several in one transaction."""
        rows = [
            (
                require_key("data set hash", profile.dataset_hash),
                require_key("encoder", profile.encoder),
                to_bytes(profile),
            )
            for profile in profiles
        ]

        def work(session: Session) -> None:
            changed = False
            for dataset_hash, encoder, data in rows:
                row = session.get(ProfileRow, (dataset_hash, encoder), with_for_update=True)
                if row is None or row.data != data:
                    session.merge(ProfileRow(dataset_hash=dataset_hash, encoder=encoder, data=data))
                    changed = True
            if changed:
                _renew_generation(session)

        self._write(work)

    def hashes(self, encoder: str) -> tuple[str, frozenset[str]]:
        """The generation, and the content hashes of all data sets that it holds, read together."""
        query = select(ProfileRow.dataset_hash).where(ProfileRow.encoder == encoder)

        def work(session: Session) -> tuple[str, frozenset[str]]:
            row = session.get(MetaRow, _GENERATION)
            return "empty" if row is None else row.value, frozenset(session.scalars(query))

        return self._read(work)

    def get_all(self, hashes: Collection[str], encoder: str) -> dict[str, Profile]:
        """The profiles of these contents that there are, by content hash."""

        def work(session: Session) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for part in in_parts(hashes):
                query = select(ProfileRow.dataset_hash, ProfileRow.data).where(
                    ProfileRow.encoder == encoder, ProfileRow.dataset_hash.in_(part)
                )
                found.update((row[0], row[1]) for row in session.execute(query))
            return found

        return {key: _decoded(data) for key, data in self._read(work).items()}

    def get(self, dataset_hash: str, encoder: str) -> Profile | None:
        """The profile, or None. Raises StorageError where its bytes are damaged."""
        if not (storable(dataset_hash) and storable(encoder)):
            return None
        row = self._read(lambda session: session.get(ProfileRow, (dataset_hash, encoder)))
        return None if row is None else from_bytes(row.data)

    def has(self, dataset_hash: str, encoder: str) -> bool:
        """True if a content has been profiled, without reading the profile."""
        if not (storable(dataset_hash) and storable(encoder)):
            return False
        query = select(ProfileRow.dataset_hash).where(
            ProfileRow.dataset_hash == dataset_hash, ProfileRow.encoder == encoder
        )
        return self._read(lambda session: session.scalar(query)) is not None

    def remove(self, dataset_hash: str, encoder: str) -> bool:
        """Forget a profile; False when there was none."""
        return self._remove(ProfileRow, dataset_hash, encoder, then=_renew_generation)

    def generation(self) -> str:
        """Changes with every change of any profile; never an earlier value for other content."""
        row = self._read(lambda session: session.get(MetaRow, _GENERATION))
        return "empty" if row is None else row.value


@functools.lru_cache(maxsize=256)
def _decoded(data: bytes) -> Profile:
    """Decoded once: a service lists them all again whenever one is new."""
    return from_bytes(data)


def _renew_generation(session: Session) -> None:
    # Random, not a counter: a store restored from a backup would count to a number it has had before.
    session.merge(MetaRow(key=_GENERATION, value=uuid.uuid4().hex))
