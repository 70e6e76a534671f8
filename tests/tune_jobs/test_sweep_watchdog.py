"""The watchdog: what counts as hung, and what as too much memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tune_jobs.sweep import watchdog as watching
from tune_jobs.sweep.trial_spec import TrialLimits
from tune_jobs.sweep.watchdog import Watchdog, full_at, largest_training, node_memory
from tune_jobs.training.process import MODULE

LIMITS = TrialLimits(idle_s=120, first_epoch_s=1800, slow_factor=10, slow_floor_s=300)


def test_a_process_that_does_nothing_is_hung_after_a_while() -> None:
    watch = Watchdog(limits=LIMITS, since=0.0)
    assert watch.hangs(1.0, 5.0) is None
    assert watch.hangs(100.0, 5.1) is None
    assert watch.hangs(121.5, 5.1) == "timed out: no work done for 120 s"


def test_a_process_that_works_is_not_idle_however_slow() -> None:
    watch = Watchdog(limits=LIMITS, since=0.0)
    for second in range(0, 1700, 50):
        assert watch.hangs(float(second), float(second)) is None


def test_loaders_that_ended_take_their_time_with_them_and_nothing_hangs() -> None:
    """Ultralytics ends the processes that load data before the last ten epochs: their hours leave the sum."""
    watch = Watchdog(limits=LIMITS, since=0.0)
    assert watch.hangs(10.0, 9_000.0) is None
    for second in range(20, 1_000, 10):
        assert watch.hangs(float(second), 2_000.0 + second) is None


def test_a_busy_loop_without_an_epoch_is_hung_too() -> None:
    watch = Watchdog(limits=LIMITS, since=0.0)
    for second in range(0, 1800, 50):
        assert watch.hangs(float(second), float(second)) is None
    assert (watch.hangs(1801.0, 1801.0) or "").startswith("timed out: no epoch ended for 1801 s")


@pytest.mark.parametrize(("epoch_s", "patience_s"), [(5.0, 300.0), (60.0, 600.0)])
def test_later_epochs_are_measured_by_the_slowest_before(epoch_s: float, patience_s: float) -> None:
    watch = Watchdog(limits=LIMITS, since=0.0)
    for number in range(1, 4):
        watch.epoch_ended(number * epoch_s)
    assert watch.patience_s == patience_s
    now = 3 * epoch_s
    watch.hangs(now, 0.0)
    for second in range(int(patience_s) + 1):
        verdict = watch.hangs(now + second, float(second))
    assert verdict is None
    assert watch.hangs(now + patience_s + 1, patience_s + 1) is not None


def test_waiting_for_the_driver_is_not_held_against_it() -> None:
    watch = Watchdog(limits=LIMITS, since=0.0)
    watch.epoch_ended(10.0)
    watch.epoch_ended(20.0)
    watch.paused(10_000.0)
    assert watch.hangs(10_021.0, 0.0) is None
    watch.epoch_ended(10_030.0)
    assert watch.slowest_epoch_s == 10.0


def test_a_trial_has_a_limit_of_its_own() -> None:
    watch = Watchdog(limits=TrialLimits(memory_mb=100), since=0.0)
    assert watch.overfills(os.getpid(), 99 * 2**20) is None
    assert watch.overfills(os.getpid(), 101 * 2**20) == (
        "out of memory: it used 101 MB, 100 MB are allowed a trial"
    )


def test_on_a_full_node_the_largest_training_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Just before Ray's own monitor would kill the actor and break the whole fit."""
    code = f"import sys, time; block = bytearray(int(sys.argv[1])); time.sleep(60)  # {MODULE}"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(size), MODULE]) for size in (60_000_000, 10_000_000)
    ]
    try:
        for process, size in zip(processes, (60_000_000, 10_000_000), strict=True):
            seen = psutil.Process(process.pid)
            while seen.memory_info().rss < size:
                pass
        large, small = (process.pid for process in processes)
        used, total = node_memory()
        monkeypatch.setenv("RAY_memory_usage_threshold", str(used / total - 0.02 + watching.MARGIN))
        watch = Watchdog(limits=TrialLimits(), since=0.0)
        # Others may be training on this machine, and larger.
        monkeypatch.setattr(watching, "largest_training", lambda: large)
        assert "this trial was the largest" in (watch.overfills(large, 60_000_000) or "")
        assert watch.overfills(small, 10_000_000) is None
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_the_largest_training_is_found() -> None:
    code = "import time; block = bytearray(80_000_000); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, MODULE])
    try:
        seen = psutil.Process(process.pid)
        while seen.memory_info().rss < 80_000_000:
            pass
        found = largest_training()
        assert found is not None
        assert psutil.Process(found).memory_info().rss >= 80_000_000
    finally:
        process.kill()
        process.wait()


def test_the_threshold_follows_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_memory_usage_threshold", raising=False)
    assert full_at() == pytest.approx(0.92)
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.5")
    assert full_at() == pytest.approx(0.47)
    monkeypatch.setenv("RAY_memory_usage_threshold", "much")
    assert full_at() == pytest.approx(0.92)


def test_a_containers_limit_is_the_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000000\n")
    (tmp_path / "memory.current").write_text("700000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 200000000\n")
    monkeypatch.setattr(watching, "CGROUP", tmp_path)
    assert node_memory() == (500_000_000, 1_000_000_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert node_memory()[1] == psutil.virtual_memory().total
