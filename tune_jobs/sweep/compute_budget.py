"""The budget: a hard cap on wall time, or on device time across the cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from recommender.errors import UsageError
from recommender.requests import BUDGET_FORM, UNIT_SECONDS

STOP_LATENCY_S = (
    4.0  # between the decision to stop and the last process gone: kept in reserve, so the cap is hard
)


@dataclass(frozen=True, kw_only=True)
class ComputeBudget:
    """A budget. `limit_s` None is no cap."""

    kind: Literal["wall", "device"]
    limit_s: float | None

    @classmethod
    def parse(cls, text: str | None) -> ComputeBudget:
        """Read `10m` as wall time and `2gpu-h` as device time. Raises UsageError for anything else."""
        if text is None:
            return cls(kind="wall", limit_s=None)
        match = BUDGET_FORM.fullmatch(text)
        if not match or math.isinf(float(match["amount"])):
            raise UsageError(f"Budget {text!r} is not understood.", remedy="Write 90s, 10m, 1.5h or 2gpu-h.")
        limit_s = float(match["amount"]) * next(
            seconds for unit, seconds in UNIT_SECONDS.items() if match[unit]
        )
        if limit_s <= 0:
            raise UsageError(f"Budget {text!r} allows nothing.", remedy="Give a positive one, such as 10m.")
        return cls(kind="device" if match["gpu"] else "wall", limit_s=limit_s)

    def left_s(self, spent_s: float) -> float | None:
        """The seconds left of the cap; None without one."""
        return None if self.limit_s is None else max(0.0, self.limit_s - spent_s)

    def is_spent(self, spent_s: float, *, rate: float) -> bool:
        """True if it is time to stop, so that what is being spent at `rate` a second ends within the cap."""
        reserve_s = min(STOP_LATENCY_S * rate, 0.5 * (self.limit_s or 0.0))
        return self.limit_s is not None and spent_s + reserve_s >= self.limit_s
