"""The tables of jobs: what was asked, what is to be launched, what happened."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from recommender.store.models import Base


class JobRow(Base):
    """One job of any kind: recommendation, training, sweep. All its state changes lock this row first."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("owner", "key", name="jobs_once_per_key"),
        Index("jobs_by_status", "cluster", "status"),
        Index("jobs_by_owner", "owner", "kind", "created_at"),
        Index("jobs_by_body", "body_digest"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(String(200))
    body_digest: Mapped[str] = mapped_column(String(64))  # of what was asked under this key
    cluster: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(16))
    spec: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer)  # the one that counts: its number is the fencing token
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    crashes: Mapped[int] = mapped_column(Integer, default=0)
    collected: Mapped[int] = mapped_column(Integer, default=0)
    last_seq: Mapped[int] = mapped_column(Integer, default=0)
    metrics: Mapped[str | None] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(String(128))
    checkpoint: Mapped[str | None] = mapped_column(String(200))
    artefacts: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    dataset_id: Mapped[str | None] = mapped_column(String(32))  # of a recommendation, as its result
    dataset_hash: Mapped[str | None] = mapped_column(String(128))
    result: Mapped[str | None] = mapped_column(Text)
    lease_holder: Mapped[str] = mapped_column(String(200), default="")
    lease_beat: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[str] = mapped_column(String(40))
    ended_at: Mapped[str | None] = mapped_column(String(40))


class OutboxRow(Base):
    """A launch owed to the cluster, written in the transaction that made it due."""

    __tablename__ = "outbox"

    job_id: Mapped[str] = mapped_column(String(64), ForeignKey("jobs.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    begun: Mapped[bool] = mapped_column(default=False)  # a launcher may have reached the cluster
    delivered: Mapped[bool] = mapped_column(default=False)  # the cluster has it


class JobEventRow(Base):
    """One event of a job."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(String(64), ForeignKey("jobs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(16))
    data: Mapped[str] = mapped_column(Text)
    at: Mapped[str] = mapped_column(String(40))
