"""The forecast's prior: how the results of situations vary together, before any of them is known.

What does not depend on the scales is computed once (`KernelInputs`), so that fitting the scales stays cheap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Value = TypeVar("Value", np.float64, np.bool_)
STEP = 1e-4  # of a length's logarithm, for derivatives


@dataclass(frozen=True, kw_only=True)
class PriorScales:
    """Standard deviations (arcsine square root scale) and kernel lengths (squared embedding distance)."""

    level: float = 0.13  # from target to target, at any budget
    budget: float = 0.08  # of one target a unit away from the usual budget, beyond what the rules explain
    gain: float = 0.10  # of pretraining as such, from target to target
    mode: float = 0.05  # of freezing against full training, from target to target, however long they train
    start: float = 0.05  # from start to start, on all targets
    start_on_similar: float = 0.06  # from start to start, shared by similar targets only
    pair: float = 0.025  # of one start on one target: .018 on the first sets measured, .038 on six others
    young: float = 0.13  # of one start on one target before training has brought anything: times `youth`
    noise: float = 0.018  # of one training: replicates of three targets
    seed: float = 0.025  # of a seed, shared by all starts of one target at one budget: the same replicates
    offset: float = 0.3  # of what runs that broke off still would have gained
    source_length: float = 0.25
    target_length: float = 0.35
    across_modes: float = 0.6  # correlation of a start's effects in two modes
    across_checkpoints: float = 0.8  # correlation of two checkpoints of the same source
    full_share: float = (
        0.6  # of a start's effects left where no layer is frozen and its first training was broad
    )
    loss_share: float = (
        1.0  # of the loss that joint draws expect: results often agree better, and seldom far worse
    )
    tail: float = 0.1  # share of joint draws that an 80 % interval leaves out at either end


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelInputs:
    """All that the covariance of N situations is computed from. The kernels compare T targets and S sources.

    Situations whose starts are alike in checkpoint, source and mode are of one of U kinds.
    """

    mean_N: Matrix
    rules_NN: Matrix  # covariance of what the rules say
    target_N: NDArray[np.int64]  # which of the T targets
    target_distances_TT: Matrix
    start_N: NDArray[np.int64]  # which of the U kinds of start
    source_U: NDArray[np.int64]  # which of the S sources; -1 for an unknown one, and for random weights
    source_distances_SS: Matrix
    same_checkpoint_UU: Matrix
    same_lineage_UU: Matrix  # both began from random weights, or neither is known to
    same_mode_UU: Matrix
    num_movable_UU: (
        Matrix  # how many of the two are detectors of which all layers train on after a broad training
    )
    # Effects of pretrained starts fade with their advantage, those of random weights do not; 0 between both.
    faded_NN: Matrix
    # Most parts are shared within a target and its copies alone: they are kept for these P of the N×N pairs.
    within_P: NDArray[np.int64]  # their places in the raveled matrix
    fixed_P: Matrix  # covariance that no scale changes: slopes of budgets, what very small and far ones hide
    patterns: dict[str, Matrix]  # by the standard deviation that scales a part, P each

    def covariance(self, scales: PriorScales) -> Matrix:
        """N×N prior covariance."""
        starts_NN = among(self.starts(scales), self.start_N)
        starts_NN *= self.sizes(scales, self.targets(scales))
        return self.joined(starts_NN, scales)

    def joined(self, starts_NN: Matrix, scales: PriorScales) -> Matrix:
        """The covariance of the effects of starts, which is overwritten, with all other parts added."""
        starts_NN += self.rules_NN
        starts_NN.ravel()[self.within_P] += self.fixed_P + sum(
            getattr(scales, name) ** 2 * pattern for name, pattern in self.patterns.items()
        )
        return starts_NN

    def sizes(self, scales: PriorScales, targets_TT: Matrix) -> Matrix:
        """N×N variance of the effects of starts, which `starts` correlates; `targets_TT` is the result of `targets`."""
        sizes_NN = among(scales.start**2 + scales.start_on_similar**2 * targets_TT, self.target_N)
        sizes_NN *= self.faded_NN
        return sizes_NN

    def starts(self, scales: PriorScales) -> Matrix:
        """U×U: 1 for the same start, less for unlike sources or another mode, before it fades with training."""
        alike_UU = among(_source_kernel(self.source_distances_SS, scales.source_length), self.source_U)
        # The same pictures teach other features from random weights.
        other_UU = alike_UU * self.same_lineage_UU * scales.across_checkpoints
        kernel = np.where(self.same_checkpoint_UU > 0, 1.0, other_UU)
        kernel *= np.where(self.same_mode_UU > 0, 1.0, scales.across_modes)
        kernel *= scales.full_share**self.num_movable_UU
        return kernel

    def starts_changes(self, scales: PriorScales, starts_UU: Matrix) -> dict[str, Matrix]:
        """The derivative of `starts`, whose result this is, by the logarithm of each length and share: U×U each."""
        other_UU = starts_UU * (1.0 - self.same_checkpoint_UU)
        source_SS = _relative_change(_source_kernel, self.source_distances_SS, scales.source_length)
        return {
            "source_length": other_UU * among(source_SS, self.source_U),
            "across_modes": starts_UU * (1.0 - self.same_mode_UU),
            "across_checkpoints": other_UU,
            "full_share": starts_UU * self.num_movable_UU,
        }

    def targets(self, scales: PriorScales) -> Matrix:
        """T×T: 1 for the same target, less for unlike ones."""
        return _kernel(self.target_distances_TT, scales.target_length)

    def targets_change(self, scales: PriorScales, targets_TT: Matrix) -> Matrix:
        """The derivative of `targets`, whose result this is, by the logarithm of its length: T×T."""
        return targets_TT * _relative_change(_kernel, self.target_distances_TT, scales.target_length)


def _kernel(distances: Matrix, length: float) -> Matrix:
    """exp(−squared distance / length), made positive semidefinite: the distances are noisy estimates."""
    return semidefinite(np.exp(-distances / length))


def semidefinite(symmetric: Matrix) -> Matrix:
    """The nearest positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(symmetric)
    nearest: Matrix = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return nearest


def _source_kernel(distances_SS: Matrix, length: float) -> Matrix:
    """The kernel of S sources with a last row for an unknown one: the mean over all, as if any might be it."""
    kernel_SS = _kernel(distances_SS, length)
    if not len(kernel_SS):
        return np.zeros((1, 1))
    mean_S1 = kernel_SS.mean(axis=1, keepdims=True)
    return np.block([[kernel_SS, mean_S1], [mean_S1.T, kernel_SS.mean(keepdims=True)]])


def _relative_change(
    kernel_of: Callable[[Matrix, float], Matrix], distances: Matrix, length: float
) -> Matrix:
    """Derivative of a kernel by its length's logarithm, divided by the kernel."""
    above, below = (kernel_of(distances, length * math.exp(step)) for step in (STEP, -STEP))
    change: Matrix = (above - below) / (2 * STEP) / np.maximum(kernel_of(distances, length), 1e-12)
    return change


def among(kernel: NDArray[Value], rows_N: NDArray[np.int64]) -> NDArray[Value]:
    """The kernel's values for every pair of situations; row −1 is the last."""
    # Columns first: what is left to copy are whole rows, in a tenth of the time of indexing by pairs.
    found: NDArray[Value] = kernel.take(rows_N, axis=1).take(rows_N, axis=0)
    return found
