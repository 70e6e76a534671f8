"""Estimates from the history how large each part of the forecast's prior is: empirical Bayes.

The scales that make the recorded results most probable, kept near the defaults by a log-normal prior, so that few
runs move them little. Rasmussen & Williams (2006), chapter 5.4.1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

from recommender.blas import single_blas_thread
from recommender.forecast.gaussian_process import error_of_results, noise_terms, result_of
from recommender.forecast.kernels import KernelInputs, Matrix, PriorScales, kernel_inputs
from recommender.forecast.loss_calibration import calibrated_scales
from recommender.forecast.situation import Observation

# What a budget buys is not (its slopes): a few sets at few budgets say less of it than published tables do.
FITTED = ("level", "budget", "gain", "mode", "pair", "young", "start", "start_on_similar", "source_length",
          "target_length", "across_modes", "across_checkpoints", "full_share", "noise", "seed")  # fmt: skip
MAX_STEPS = 200  # it converges in 20 to 60
PRIOR_SD = 0.7  # standard deviation of the logarithm around the default
MEASURED_SD = 0.3  # the same of what replicates were measured for
MOST = 3.0  # of a logarithm: four PRIOR_SDs
MIN_RUNS, MIN_TARGETS = 20, 2  # below, the defaults stand
LARGEST_SHARE = 0.99
PRIOR_SDS = np.array([MEASURED_SD if name in ("noise", "seed") else PRIOR_SD for name in FITTED])


@functools.lru_cache(maxsize=64)
@single_blas_thread()
def fitted_scales(history: tuple[Observation, ...]) -> PriorScales:
    """The most probable scales given the finished runs of a history; the defaults where they are too few."""
    finished = [observation for observation in history if observation.partial is None]
    targets = {observation.situation.target.dataset_hash for observation in finished}
    if len(finished) < MIN_RUNS or len(targets) < MIN_TARGETS:
        return PriorScales()
    inputs = kernel_inputs([observation.situation for observation in finished])
    residual = np.array([result_of(observation) for observation in finished]) - inputs.mean_N
    found = minimize(
        lambda logs: negative_log_posterior(inputs, residual, finished, logs),
        np.zeros(len(FITTED)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-MOST, _most(name)) for name in FITTED],  # a line search may try anything, a length of 0 too
        options={"maxiter": MAX_STEPS},
    )
    return calibrated_scales(inputs, finished, _at(found.x))


def negative_log_posterior(
    inputs: KernelInputs, residual_N: Matrix, finished: Sequence[Observation], logs: Matrix
) -> tuple[float, Matrix]:
    """Negative log posterior of the scales at `logs`, up to a constant, and its gradient."""
    scales = _at(logs)
    terms, noise = inputs.terms(scales), noise_terms(finished, scales)
    fixed_NN = inputs.fixed() + error_of_results(finished, scales) + sum(noise.values())
    try:
        factor = cho_factor(fixed_NN + sum(terms.values()), lower=True)
    except LinAlgError:
        return 1e9, np.zeros(len(FITTED))
    weights_N = cho_solve(factor, residual_N)
    value = (
        0.5 * residual_N @ weights_N
        + np.log(np.diag(factor[0])).sum()
        + 0.5 * np.sum((logs / PRIOR_SDS) ** 2)
    )
    # d value = ½ tr((K⁻¹ − K⁻¹r rᵀK⁻¹) dK): Rasmussen & Williams (2006), equation 5.9.
    slope_NN = 0.5 * (cho_solve(factor, np.eye(len(residual_N))) - np.outer(weights_N, weights_N))
    changes = terms | noise | inputs.derivatives(scales, terms)
    gradient = np.array(
        [
            (2.0 if name in terms or name in noise else 1.0) * np.einsum("ij,ij->", slope_NN, changes[name])
            for name in FITTED
        ]
    )
    return float(value), gradient + np.asarray(logs) / PRIOR_SDS**2


def _most(name: str) -> float:
    """The largest logarithm allowed above the default."""
    if name in ("across_modes", "across_checkpoints", "full_share"):  # shares and correlations are below 1
        return math.log(LARGEST_SHARE / getattr(PriorScales(), name))
    return MOST


def _at(logs: Sequence[float] | Matrix) -> PriorScales:
    """The defaults times exp(logs)."""
    defaults = asdict(PriorScales())
    scaled = {name: float(defaults[name] * np.exp(log)) for name, log in zip(FITTED, logs, strict=True)}
    return replace(PriorScales(), **scaled)
