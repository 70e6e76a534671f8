"""Leases are right whatever the wall clock does (R13), and pass from the dead to the living only."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest

from recommender.records import Lease
from tune_jobs.leases import Leases


@dataclass
class Table:
    """One lease, as a store keeps it."""

    lease: Lease = field(default_factory=lambda: Lease(holder="", beat=0))

    def take_lease(self, id: str, *, seen: Lease, holder: str) -> bool:
        if self.lease != seen:
            return False
        self.lease = Lease(holder=holder, beat=self.lease.beat + 1)
        return True

    def renew_lease(self, id: str, *, holder: str) -> bool:
        if self.lease.holder != holder:
            return False
        self.lease = Lease(holder=holder, beat=self.lease.beat + 1)
        return True


@dataclass
class Clock:
    """A clock that goes where it is told."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_free_lease_is_taken_and_kept() -> None:
    table, clock = Table(), Clock()
    ours = Leases(table, "ours", ttl_s=15, clock=clock)
    for _ in range(100):
        assert ours.holds("job", table.lease)
        clock.now += 4
    assert table.lease.holder == "ours"
    assert 40 < table.lease.beat < 60  # renewed as time went by, not at every look


def test_a_living_holder_is_left_alone() -> None:
    table, clock = Table(), Clock()
    ours, theirs = (Leases(table, name, ttl_s=15, clock=clock) for name in ("ours", "theirs"))
    for _ in range(50):
        assert theirs.holds("job", table.lease)
        assert not ours.holds("job", table.lease)
        clock.now += 6


def test_a_dead_holder_is_relieved_after_its_time_and_not_before() -> None:
    table, clock = Table(), Clock()
    assert Leases(table, "theirs", ttl_s=15, clock=clock).holds("job", table.lease)
    ours = Leases(table, "ours", ttl_s=15, clock=clock)
    for seconds in (0, 14.9):
        clock.now = 1000.0 + seconds
        assert not ours.holds("job", table.lease)
    clock.now = 1015.1
    assert ours.holds("job", table.lease)
    assert table.lease.holder == "ours"


def test_who_was_relieved_notices() -> None:
    table, clock = Table(), Clock()
    ours, theirs = (Leases(table, name, ttl_s=15, clock=clock) for name in ("ours", "theirs"))
    stale = table.lease
    assert theirs.holds("job", stale)
    stale = table.lease  # read by the holder just before it froze
    assert not ours.holds("job", table.lease)
    clock.now += 16
    assert ours.holds("job", table.lease)
    assert not theirs.holds("job", stale)
    assert not theirs.holds("job", table.lease)


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_wall_clock_that_jumps_changes_nothing(step_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    table, clock = Table(), Clock()
    theirs = Leases(table, "theirs", ttl_s=15, clock=clock)
    ours = Leases(table, "ours", ttl_s=15, clock=clock)
    assert theirs.holds("job", table.lease)
    assert not ours.holds("job", table.lease)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step_s)
    clock.now += 6
    assert theirs.holds("job", table.lease)
    assert not ours.holds("job", table.lease)


def test_long_work_keeps_its_lease() -> None:
    table = Table()
    ours = Leases(table, "ours", ttl_s=0.15)
    watcher = Leases(table, "watcher", ttl_s=0.15)
    assert ours.holds("job", table.lease)
    with ours.keeping("job"):
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            assert not watcher.holds("job", table.lease)
            time.sleep(0.02)
