"""The tables. A row keeps its record as JSON text with a checksum; columns beside it exist to be searched.

Changing a table: add a migration under `migrations/versions` and set `HEAD` to its revision.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Float, Index, Integer, LargeBinary, String, Text, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

HEAD = "0008"  # the newest revision in migrations/versions; a test compares


class Base(DeclarativeBase):
    """Parent of every table, those of the service included."""


class MetaRow(Base):
    """Single values about the store itself."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class ProfileRow(Base):
    """A data set's profile as bytes; the bytes carry their own checksum."""

    __tablename__ = "profiles"

    dataset_hash: Mapped[str] = mapped_column(String(128), primary_key=True)
    encoder: Mapped[str] = mapped_column(String(200), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class CheckpointRow(Base):
    """A registered or fetched checkpoint."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        Index("checkpoints_by_source", "source_hash"),
        Index("checkpoints_by_weights", "sha256"),
    )

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    record: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    source_hash: Mapped[str | None] = mapped_column(String(128))
    sha256: Mapped[str | None] = mapped_column(String(64))
    source_score: Mapped[float | None] = mapped_column(Float)
    kept: Mapped[bool] = mapped_column(Boolean, server_default=true())


class RunRow(Base):
    """One training."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_by_target", "target_hash"), Index("runs_by_checkpoint", "checkpoint"))

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    target_hash: Mapped[str] = mapped_column(String(128))
    checkpoint: Mapped[str] = mapped_column(String(200))
    mode: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[str] = mapped_column(String(40))
    record: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    score: Mapped[float | None] = mapped_column(Float)  # of the best epoch


class IgnoredRunRow(Base):
    """A run, recorded or built in, that the forecast is not to learn from."""

    __tablename__ = "ignored_runs"

    run_id: Mapped[str] = mapped_column(String(128), primary_key=True)


class EvidenceRow(Base):
    """Feature evidence of one set of weights on one data set, as one version of the code measured it."""

    __tablename__ = "evidence"

    dataset_hash: Mapped[str] = mapped_column(String(128), primary_key=True)
    weights_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(200), primary_key=True)
    record: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))


class ClaimRow(Base):
    """The attempt that claimed a key last and may write its result. Results of older attempts are refused."""

    __tablename__ = "claims"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
