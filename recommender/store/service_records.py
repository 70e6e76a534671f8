"""Records of the service: keys, data sets, recommendation jobs, pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from recommender.records import JobStatus, SplitCounts
from recommender.tasks import Task

ItemT = TypeVar("ItemT")
Role = Literal["admin", "user", "reader"]
ROLES: tuple[Role, ...] = ("admin", "user", "reader")


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """An API key. The secret itself is never kept, only its digest."""

    id: str
    owner: str
    role: Role
    digest: str  # SHA-256 of the secret; secrets are 256 random bits, so a slow hash would add nothing
    created_at: str  # ISO 8601, UTC, as all times here
    expires_at: str | None = None
    revoked_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class RegisteredDataset:
    """A data set the service can read: uploaded, or below an allowed folder of its own machine."""

    id: str
    owner: str
    name: str
    dataset_hash: str
    origin: Literal["upload", "path"]
    path: str
    format: str
    class_names: tuple[str, ...]
    num_images: SplitCounts
    num_objects: int
    created_at: str
    unpacked: str | None = None  # of an upload: the folder with the archive's contents
    num_bytes: int = 0  # of an upload: the archive and its contents
    health: str | None = None  # JSON of the inspection, None until it is done
    task: Task | None = None  # what it was read for; versions before 0.2 did not keep it
    task_named: bool = False  # by whoever gave it; else its labels told


@dataclass(frozen=True, kw_only=True)
class RecommendationJob:
    """A job of the service's own workers: one recommendation, queued until it is answered."""

    id: str
    owner: str
    dataset_id: str
    dataset_hash: str
    question: str  # JSON of the request's options, canonical
    cache_key: str  # of data set, question and what was known; equal keys have equal answers
    status: JobStatus
    created_at: str
    finished_at: str | None = None
    document: str | None = None  # JSON of the answer
    problem: str | None = None  # JSON of what went wrong


@dataclass(frozen=True, kw_only=True)
class Page(Generic[ItemT]):
    """Some of many, newest first; `next_cursor` asks for those that follow, None at the end."""

    items: tuple[ItemT, ...]
    next_cursor: str | None
