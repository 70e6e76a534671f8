"""The tables of the service; see `models` for the others."""

from __future__ import annotations

from sqlalchemy import Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from recommender.store.models import Base


class ApiKeyRow(Base):
    """An API key; its secret is not here."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[str] = mapped_column(String(40))
    expires_at: Mapped[str | None] = mapped_column(String(40))
    revoked_at: Mapped[str | None] = mapped_column(String(40))


class SessionRow(Base):
    """A browser that logged in with a key; the cookie's digest is its name."""

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(32))
    expires_at: Mapped[str] = mapped_column(String(40))


class HeldDatasetRow(Base):
    """A data set the service can read."""

    __tablename__ = "held_datasets"
    __table_args__ = (Index("held_datasets_by_owner", "owner", "created_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    dataset_hash: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[str] = mapped_column(String(40))
    record: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))


class AskRow(Base):
    """A recommendation asked for. The lease says which service answers it."""

    __tablename__ = "asks"
    __table_args__ = (
        Index("asks_by_owner", "owner", "created_at"),
        Index("asks_by_cache_key", "cache_key"),
        Index("asks_by_status", "status"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    dataset_id: Mapped[str] = mapped_column(String(32))
    dataset_hash: Mapped[str] = mapped_column(String(128))
    question: Mapped[str] = mapped_column(Text)
    cache_key: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[str] = mapped_column(String(40))
    finished_at: Mapped[str | None] = mapped_column(String(40))
    document: Mapped[str | None] = mapped_column(Text)
    problem: Mapped[str | None] = mapped_column(Text)
    lease_holder: Mapped[str] = mapped_column(String(200), default="")
    lease_beat: Mapped[int] = mapped_column(Integer, default=0)
    num_leases: Mapped[int] = mapped_column(Integer, default=0)


class EventRow(Base):
    """One event of a topic."""

    __tablename__ = "events"

    topic: Mapped[str] = mapped_column(String(160), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    data: Mapped[str] = mapped_column(Text)
    created_at: Mapped[str] = mapped_column(String(40))
