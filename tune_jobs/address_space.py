"""Limits on the address space of a process, as `ulimit -v` and batch systems set: Ray and torch reserve much of it."""

from __future__ import annotations

import resource

from recommender.errors import UnavailableError

GB = 1e9
AMPLE_BYTES = 16 * GB  # no error of ours comes from a limit above it
LEAST_BYTES = 4.5 * GB  # with less, Ray or torch breaks, in ways that do not tell why


def require_address_space() -> None:
    """Raise UnavailableError where a process may not have enough for Ray and torch."""
    limit = _limit()
    if limit is not None and limit < LEAST_BYTES:
        raise UnavailableError(
            f"A process may have {limit / GB:.1f} GB of address space here; Ray and torch reserve "
            f"{LEAST_BYTES / GB:.1f} GB, most of which they never use.",
            remedy="Lift that limit: `ulimit -v unlimited`, or as your batch system says.",
        )


def limited_to() -> str:
    """An addition to an error that too little address space may be behind; empty where there is enough."""
    limit = _limit()
    if limit is None or limit >= AMPLE_BYTES:
        return ""
    return f" (a process here may have {limit / GB:.1f} GB of address space: ulimit -v)"


def _limit() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft
