"""Times as they are stored: ISO 8601, UTC, to the microsecond, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def utc_now(*, plus_s: float = 0.0) -> str:
    """Now, or so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=plus_s)).isoformat(timespec="microseconds")
