"""The budget of a sweep: how it is read, and that it is a hard cap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import UsageError
from tune_jobs.sweep.compute_budget import STOP_LATENCY_S, ComputeBudget


@pytest.mark.parametrize(
    ("text", "kind", "limit_s"),
    [
        ("90s", "wall", 90),
        ("10m", "wall", 600),
        ("1.5h", "wall", 5400),
        ("2gpu-h", "device", 7200),
        ("30 gpu-m", "device", 1800),
    ],
)
def test_budgets_are_read(text: str, kind: str, limit_s: float) -> None:
    found = ComputeBudget.parse(text)
    assert (found.kind, found.limit_s) == (kind, limit_s)


@pytest.mark.parametrize("text", ["10", "ten minutes", "0m", "-3h", "2gpu", "1e400h", "nan h"])
def test_budgets_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"understood|nothing"):
        ComputeBudget.parse(text)


@given(limit_m=st.floats(0.5, 100), slots=st.integers(1, 64), device=st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_cap_is_hard_whatever_runs(limit_m: float, slots: int, device: bool) -> None:
    """Stopping takes a few seconds, during which every slot still spends: that much is kept in reserve."""
    compute_budget = ComputeBudget.parse(f"{limit_m}gpu-m" if device else f"{limit_m}m")
    rate = float(slots) if device else 1.0
    spent = 0.0
    while not compute_budget.is_spent(spent, rate=rate):
        spent += 0.25 * rate  # the driver looks at least that often
    limit_s = compute_budget.limit_s or 0.0
    latency_s = min(STOP_LATENCY_S, 0.5 * limit_s / rate)
    assert spent + (latency_s - 0.25) * rate <= limit_s + 1e-6
    assert spent >= 0.5 * limit_s - 0.25 * rate  # and it is used, not hoarded
