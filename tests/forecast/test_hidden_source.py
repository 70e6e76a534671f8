"""Leaving out what a checkpoint was trained on must not pay: every one of the built-in history, on every target."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.hidden_source import HiddenSourceGain, gains
from recommender.forecast.history import builtin_observations, known_scales


@pytest.fixture(scope="module")
def found() -> list[HiddenSourceGain]:
    """Of weights from which no run is known, with known earlier trainings: where hiding costs least."""
    return gains(builtin_observations("detect"), known_scales("detect"), new=True, lineage=True)


@pytest.mark.slow
def test_hiding_the_source_does_not_pay_in_expectation(found: list[HiddenSourceGain]) -> None:
    assert len({gain.target for gain in found}) > 20
    assert np.mean([gain.score for gain in found]) < 0
    assert np.mean([gain.p_best for gain in found]) < 0


@pytest.mark.slow
def test_no_checkpoint_gains_by_hiding_its_source(found: list[HiddenSourceGain]) -> None:
    for name in {gain.checkpoint for gain in found}:
        own = [gain for gain in found if gain.checkpoint == name]
        assert np.mean([gain.p_best for gain in own]) < 0.02, name
        # Weights that are known to come from few images and random weights can only be thought better of.
        if "from_random" not in name:
            assert np.mean([gain.score for gain in own]) < 0, name
