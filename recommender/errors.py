"""Every error this project raises on purpose.

RecommenderError
├── UsageError                 the request itself cannot be met            exit 2, HTTP 422
├── InputError                 the user's file is at fault                 exit 2, HTTP 422
│   ├── DatasetError           a data set cannot be read or is unusable
│   │   ├── UnsafeInputError   it tries to leave its folder, run code or exhaust the machine
│   │   └── WrongTaskError     labels of another task: pose, OBB, or not the one asked for
│   └── CheckpointError        a checkpoint cannot be loaded safely or at all
│       └── IntegrityError     bytes differ from those recorded (sha256)
├── NotFoundError              no such checkpoint, run, data set           exit 2, HTTP 404
├── ConflictError              the name or key is taken                    exit 2, HTTP 409
├── UnavailableError           network, cluster or optional package absent exit 1, HTTP 503
├── TrialError                 this run failed: record it and go on
└── StorageError               the store refused: disk full, corrupt, old  exit 1, HTTP 503

A message gives the value received, what is allowed, and the remedy.
"""

from __future__ import annotations


class RecommenderError(Exception):
    """Base of every error raised on purpose. `exit_code` is the CLI's."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class UsageError(RecommenderError):
    """The request cannot be met as asked."""

    exit_code = 2


class InputError(RecommenderError):
    """A file of the user is at fault."""

    exit_code = 2


class DatasetError(InputError):
    """A data set cannot be read or is unusable."""


class UnsafeInputError(DatasetError):
    """A data set tries to leave its folder, run code or exhaust the machine."""


class WrongTaskError(DatasetError):
    """A data set of another task than the one asked for, or than those served."""


class CheckpointError(InputError):
    """A checkpoint cannot be loaded safely, or at all."""


class IntegrityError(CheckpointError):
    """The bytes of a file differ from those recorded."""


class NotFoundError(RecommenderError):
    """No such checkpoint, run or data set."""

    exit_code = 2


class ConflictError(RecommenderError):
    """The name or key is already taken."""

    exit_code = 2


class UnavailableError(RecommenderError):
    """The network, a cluster or an optional package is not there."""


class TrialError(RecommenderError):
    """This one run failed; a sweep records it and goes on."""


class StorageError(RecommenderError):
    """The store refused: disk full, corrupt, or of another version."""
