"""Estimates from the history how large each part of the forecast's prior is: empirical Bayes.

The scales that make the recorded results most probable, kept near the defaults by a log-normal prior, so that few
runs move them little. Rasmussen & Williams (2006), chapter 5.4.1.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize

from recommender.blas import single_blas_thread
from recommender.forecast.gaussian_process import error_of_results, noise_terms, result_of
from recommender.forecast.kernel_inputs import kernel_inputs
from recommender.forecast.kernels import KernelInputs, Matrix, PriorScales, among
from recommender.forecast.loss_calibration import calibrated_scales
from recommender.forecast.situation import Observation

# What a budget buys is not (its slopes): a few sets at few budgets say less of it than published tables do.
FITTED = ("level", "budget", "gain", "mode", "pair", "young", "start", "start_on_similar", "source_length",
          "target_length", "across_modes", "across_checkpoints", "full_share", "noise", "seed")  # fmt: skip
MOST_RUNS = 500  # the cost is cubic in it, and so many tell the scales
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
    # By a hash of their ids: a sample of all, in which a run is or is not whatever else is known.
    some = sorted(finished, key=lambda observation: zlib.crc32(observation.run.id.encode()))[:MOST_RUNS]
    found = minimize(
        ScalesPosterior(kernel_inputs([observation.situation for observation in some]), some),
        np.zeros(len(FITTED)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-MOST, _most(name)) for name in FITTED],  # a line search may try anything, a length of 0 too
        options={"maxiter": MAX_STEPS},
    )
    inputs = kernel_inputs([observation.situation for observation in finished])
    return calibrated_scales(inputs, finished, _at(found.x))


class ScalesPosterior:
    """Negative log posterior of the scales given finished runs, up to a constant, and its gradient."""

    def __init__(self, inputs: KernelInputs, finished: Sequence[Observation]) -> None:
        """`inputs` belong to the situations of `finished`."""
        noise = noise_terms(finished, PriorScales(noise=1.0, seed=1.0))
        noise_P = {name: term_NN.ravel()[inputs.within_P] for name, term_NN in noise.items()}
        self._inputs = replace(inputs, patterns=inputs.patterns | noise_P)
        self._residual_N = np.array([result_of(observation) for observation in finished]) - inputs.mean_N
        self._errors_NN = error_of_results(finished, PriorScales())
        self._target_NT = np.eye(len(inputs.target_distances_TT))[inputs.target_N]
        self._start_NU = np.eye(len(inputs.source_U))[inputs.start_N]

    def __call__(self, logs: Matrix) -> tuple[float, Matrix]:
        """The value at the defaults times exp(`logs`), and the gradient by them."""
        scales = _at(logs)
        starts_UU, targets_TT = self._inputs.starts(scales), self._inputs.targets(scales)
        starts_NN = among(starts_UU, self._inputs.start_N)
        size_NN = self._inputs.sizes(scales, targets_TT)
        covariance_NN = self._inputs.joined(starts_NN * size_NN, scales)
        covariance_NN += self._errors_NN
        # LAPACK works in Fortran's order, in which this symmetric matrix is the same; the half it leaves is 0.
        factor_NN, failed = dpotrf(covariance_NN.T, lower=1, clean=1, overwrite_a=1)
        if failed:
            return 1e9, np.zeros(len(FITTED))
        weights_N, _ = dpotrs(factor_NN, self._residual_N, lower=1)
        value = (
            0.5 * self._residual_N @ weights_N
            + np.log(np.diag(factor_NN)).sum()
            + 0.5 * np.sum((logs / PRIOR_SDS) ** 2)
        )
        # d value = ½ tr((K⁻¹ − K⁻¹r rᵀK⁻¹) dK): Rasmussen & Williams (2006), equation 5.9.
        inverse_NN, _ = dpotri(factor_NN, lower=1, overwrite_c=1)
        slope_NN = inverse_NN.T  # its half, twice, is as good where the other factor is symmetric
        slope_NN[np.diag_indices_from(slope_NN)] *= 0.5
        slope_NN -= np.outer(0.5 * weights_N, weights_N)
        changes = self._changes(scales, slope_NN, starts_NN, size_NN, starts_UU, targets_TT)
        return float(value), np.array([changes[name] for name in FITTED]) + logs / PRIOR_SDS**2

    def _changes(
        self,
        scales: PriorScales,
        slope_NN: Matrix,
        starts_NN: Matrix,
        size_NN: Matrix,
        starts_UU: Matrix,
        targets_TT: Matrix,
    ) -> dict[str, float]:
        """The change of the value by each scale's logarithm: slopes summed over all pairs of targets, or of starts."""
        slope_P = slope_NN.ravel()[self._inputs.within_P]
        changes = {
            name: 2.0 * getattr(scales, name) ** 2 * float(slope_P @ pattern)
            for name, pattern in self._inputs.patterns.items()
        }
        by_start_UU = self._start_NU.T @ (slope_NN * size_NN) @ self._start_NU
        starts_NN *= self._inputs.faded_NN
        starts_NN *= slope_NN
        by_target_TT = self._target_NT.T @ starts_NN @ self._target_NT
        on_similar = scales.start_on_similar**2
        changes["start"] = 2.0 * scales.start**2 * float(by_target_TT.sum())
        changes["start_on_similar"] = 2.0 * on_similar * float((by_target_TT * targets_TT).sum())
        changes["target_length"] = on_similar * float(
            (by_target_TT * self._inputs.targets_change(scales, targets_TT)).sum()
        )
        for name, change_UU in self._inputs.starts_changes(scales, starts_UU).items():
            changes[name] = float((by_start_UU * change_UU).sum())
        return changes


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
