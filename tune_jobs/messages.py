"""Messages between a launcher and an attempt of a full training, through the storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recommender.records import EpochMetrics, Run
from tune_jobs.artefact_transfer import Artefact
from tune_jobs.training_spec import TrainingSpec

# Inputs: written last, so its presence means that all inputs are there. Those of version 0.1 were named otherwise and
# are put there again.
CARD = "manifest.json"
OUTCOME = "outcome.json"  # attempt: written last, so its presence means that all results are there
CRASH = "crash.json"  # attempt: the last words of one that broke for reasons that may pass
STATE = "resume/state"  # attempt: see tune_jobs.training.resume
STATE_MANIFEST = "resume/card.json"


@dataclass(frozen=True, kw_only=True)
class InputManifest:
    """Launcher → attempt: what to train and which artefacts bring it."""

    spec: TrainingSpec
    data: Artefact
    weights: Artefact | None
    num_threads: int
    state_every_s: float  # how often the resume state is carried to the storage, at most


@dataclass(frozen=True, kw_only=True)
class Revoked:
    """Launcher → attempt: nobody wants it any more."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Attempt → launcher: points of the curve."""

    points: tuple[EpochMetrics, ...]


@dataclass(frozen=True, kw_only=True)
class ResumeStateManifest:
    """Attempt → later attempts: a resume state that is whole."""

    epochs_done: int
    files: tuple[ResultFile, ...]


@dataclass(frozen=True, kw_only=True)
class ResultFile:
    """A file that an attempt left."""

    name: str  # below the attempt's results
    sha256: str
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class AttemptOutcome:
    """Attempt → launcher: it is over, for good or ill."""

    status: Literal["succeeded", "failed"]
    run: Run | None
    files: tuple[ResultFile, ...] = ()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Crash:
    """Attempt → launcher: why it ended without an outcome, and its run as far as it came, where there is one."""

    error: str
    run: Run | None = None
