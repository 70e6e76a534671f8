"""Signals that ask a sweep to end: once each, and not where the user has them ignored."""

from __future__ import annotations

import os
import signal

import pytest

from recommender.store import Store
from tests.tune_jobs.sweep_kit import paper_trials, trial_driver
from tune_jobs.sweep.run import INTERRUPTED, _interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_is_asked_to_end(store: Store, number: signal.Signals) -> None:
    driver, before = trial_driver(paper_trials(1), store), signal.default_int_handler
    outside = signal.signal(number, before)  # ignored where the tests themselves were started by nohup
    try:
        with _interruptible(driver):
            os.kill(os.getpid(), number)
            assert driver.stop_reason() == INTERRUPTED
            assert signal.getsignal(number) == before  # a second one is not held back
        assert signal.getsignal(number) == before
    finally:
        signal.signal(number, outside)


def test_a_terminal_that_is_closed_ends_no_sweep_started_by_nohup(store: Store) -> None:
    driver, before = trial_driver(paper_trials(1), store), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _interruptible(driver):
            os.kill(os.getpid(), signal.SIGHUP)
            assert driver.stop_reason() is None
    finally:
        signal.signal(signal.SIGHUP, before)
