"""The sizes of the prior's parts, estimated from runs drawn from a prior whose sizes are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest

from recommender.forecast.gaussian_process import noise_of
from recommender.forecast.kernel_inputs import kernel_inputs
from recommender.forecast.kernels import PriorScales
from recommender.forecast.prior_fitting import FITTED, MIN_RUNS, ScalesPosterior, fitted_scales
from recommender.forecast.situation import Observation, from_scale
from recommender.records import Mode
from tests.forecast.builders import observation, profile, situation


def drawn(
    scales: PriorScales,
    *,
    targets: int = 8,
    seed: int = 0,
    modes: Sequence[Mode] = ("full",),
    epochs: Sequence[int] = (50,),
    replicates: int = 1,
) -> tuple[Observation, ...]:
    """Results drawn from the model itself: every target with the same nine sources."""
    sources = [profile(f"source{i}", 0.3 * i) for i in range(9)]
    situations = [
        # A second round of the circle lies between the targets of the first: none may be another's copy.
        situation(profile(f"target{t}", 0.15 + 0.37 * t + 0.18 * (t // 17)), source, mode=mode, epochs=many)
        for t in range(targets)
        for source in sources
        for mode in modes
        for many in epochs
    ]
    blank = [of_seed(observation(one, 0.3), seed) for one in situations for seed in range(replicates)]
    inputs = kernel_inputs([one.situation for one in blank])
    covariance = inputs.covariance(scales) + noise_of(blank, scales)
    draw = np.random.default_rng(seed).multivariate_normal(inputs.mean_N, covariance)
    values = from_scale(np.maximum(draw, 0.01))
    return tuple(
        of_seed(observation(one.situation, float(value)), one.run.recipe.seed)
        for one, value in zip(blank, values, strict=True)
    )


def of_seed(one: Observation, seed: int) -> Observation:
    return replace(one, run=replace(one.run, recipe=replace(one.run.recipe, seed=seed)))


def test_effects_of_starts_are_found_where_they_are() -> None:
    quiet = fitted_scales(drawn(PriorScales(start=0.005, start_on_similar=0.005)))
    loud = fitted_scales(drawn(PriorScales(start=0.15, start_on_similar=0.15)))
    assert _of_full_training(quiet) < 0.04
    assert _of_full_training(loud) == pytest.approx(
        _of_full_training(PriorScales(start=0.15, start_on_similar=0.15)), rel=0.4
    )


def _of_full_training(scales: PriorScales) -> float:
    return scales.full_share * math.hypot(scales.start, scales.start_on_similar)


def test_replicates_tell_the_noise_of_a_training_from_what_is_peculiar_to_a_pair() -> None:
    quiet, loud = (
        fitted_scales(drawn(PriorScales(noise=noise, pair=0.025), targets=4, replicates=2))
        for noise in (0.01, 0.06)
    )
    assert quiet.noise < 0.014
    assert loud.noise == pytest.approx(0.06, rel=0.2)
    assert loud.pair < 0.05


def test_what_sets_do_away_from_the_usual_budget_is_learnt() -> None:
    steady, wandering = (
        fitted_scales(drawn(PriorScales(budget=budget), targets=5, epochs=(10, 200)))
        for budget in (0.01, 0.25)
    )
    assert steady.budget < 0.08 < wandering.budget


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
    value_of = ScalesPosterior(kernel_inputs([run.situation for run in runs]), runs)
    logs = np.random.default_rng(1).normal(size=len(FITTED)) * 0.3
    _, gradient = value_of(logs)
    for i, name in enumerate(FITTED):
        step = np.zeros(len(FITTED))
        step[i] = 1e-5
        above, below = (value_of(logs + sign * step)[0] for sign in (1, -1))
        assert gradient[i] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-5), name


def test_effects_of_starts_may_be_small_where_all_layers_learn() -> None:
    shares = [
        fitted_scales(
            drawn(PriorScales(start=0.15, full_share=share), targets=5, modes=("full", "freeze"))
        ).full_share
        for share in (0.2, 1.0)
    ]
    assert shares[0] < 0.4 < 0.7 < shares[1]
