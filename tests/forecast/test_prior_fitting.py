"""The sizes of the prior's parts, estimated from runs drawn from a prior whose sizes are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest

from recommender.forecast.gaussian_process import noise_of, result_of
from recommender.forecast.kernels import PriorScales, kernel_inputs
from recommender.forecast.prior_fitting import FITTED, MIN_RUNS, fitted_scales, negative_log_posterior
from recommender.forecast.situation import Observation, from_scale
from recommender.records import Mode
from tests.forecast.builders import observation, profile, situation


def drawn(
    scales: PriorScales, *, targets: int = 8, seed: int = 0, modes: Sequence[Mode] = ("full",)
) -> tuple[Observation, ...]:
    """Results drawn from the model itself: every target with the same nine sources."""
    sources = [profile(f"source{i}", 0.3 * i) for i in range(9)]
    situations = [
        situation(profile(f"target{t}", 0.15 + 0.37 * t), source, mode=mode)
        for t in range(targets)
        for source in sources
        for mode in modes
    ]
    blank = [observation(one, 0.3) for one in situations]
    inputs = kernel_inputs(situations)
    covariance = inputs.covariance(scales) + noise_of(blank, scales)
    draw = np.random.default_rng(seed).multivariate_normal(inputs.mean_N, covariance)
    values = from_scale(np.maximum(draw, 0.01))
    return tuple(observation(one, float(value)) for one, value in zip(situations, values, strict=True))


def test_effects_of_starts_are_found_where_they_are() -> None:
    quiet = fitted_scales(drawn(PriorScales(start=0.005, start_on_similar=0.005)))
    loud = fitted_scales(drawn(PriorScales(start=0.15, start_on_similar=0.15)))
    assert _of_full_training(quiet) < 0.04
    assert _of_full_training(loud) == pytest.approx(
        _of_full_training(PriorScales(start=0.15, start_on_similar=0.15)), rel=0.4
    )


def _of_full_training(scales: PriorScales) -> float:
    return scales.full_share * math.hypot(scales.start, scales.start_on_similar)


def test_what_single_runs_cannot_tell_is_not_learnt() -> None:
    fitted = fitted_scales(drawn(PriorScales(start=0.15)))
    for name in ("budget", "noise", "seed"):
        assert getattr(fitted, name) == getattr(PriorScales(), name)


def test_too_few_runs_leave_the_defaults() -> None:
    runs = drawn(PriorScales(start=0.3))
    assert fitted_scales(runs[: MIN_RUNS - 1]) == PriorScales()
    assert fitted_scales(()) == PriorScales()
    assert fitted_scales(runs) != PriorScales()


def test_the_order_of_the_runs_does_not_matter() -> None:
    runs = drawn(PriorScales(), targets=4)
    one, other = fitted_scales(runs), fitted_scales(runs[::-1])
    assert asdict(one) == pytest.approx(asdict(other), rel=1e-5)


def test_the_gradient_is_that_of_the_value() -> None:
    runs = list(drawn(PriorScales(), targets=3))
    inputs = kernel_inputs([run.situation for run in runs])
    residual = np.array([result_of(run) for run in runs]) - inputs.mean_N
    logs = np.random.default_rng(1).normal(size=len(FITTED)) * 0.3
    _, gradient = negative_log_posterior(inputs, residual, runs, logs)
    for i, name in enumerate(FITTED):
        step = np.zeros(len(FITTED))
        step[i] = 1e-5
        above, below = (
            negative_log_posterior(inputs, residual, runs, logs + sign * step)[0] for sign in (1, -1)
        )
        assert gradient[i] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-5), name


def test_effects_of_starts_may_be_small_where_all_layers_learn() -> None:
    shares = [
        fitted_scales(
            drawn(PriorScales(start=0.15, full_share=share), targets=5, modes=("full", "freeze"))
        ).full_share
        for share in (0.2, 1.0)
    ]
    assert shares[0] < 0.4 < 0.7 < shares[1]
