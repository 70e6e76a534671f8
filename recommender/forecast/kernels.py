"""The forecast's prior: how the results of situations vary together, before any of them is known.

What does not depend on the scales is computed once (`KernelInputs`), so that fitting the scales stays cheap.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.forecast.budget import (
    SUPPORTED_DISTANCE,
    UNSUPPORTED_SD,
    coordinates,
    drift_covariance,
    gain_share,
    small_budget_sd,
    youth,
)
from recommender.forecast.rules import features, head_start, prior_weights
from recommender.forecast.situation import Situation
from recommender.profile.embedding import squared_distances
from recommender.records import Profile
from recommender.tasks import task_definition

Matrix = NDArray[np.float64]
# A squared distance: copies and parts of a data set lie within .0005 of it, the nearest two others of the built-in
# history .03 apart (faces with and without masks), and these have little more in common than any two.
TWIN_LENGTH = 0.01
# Below LEAST_ALIKE targets count as unlike: it is what the kernel has at those .03. EXACT_ZERO is rounding's.
LEAST_ALIKE, EXACT_ZERO = 0.05, 1e-9
# Of what very small budgets hide, that sets one start apart from another: both end near 0. By judgement; .5 before
# `youth` levelled off.
SMALL_SHARE = 0.25
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
    slopes_NN: Matrix  # covariance of what a budget buys, from target to target
    near_budget_NN: Matrix  # 1 at the same budget, towards 0 far away
    drift_NN: Matrix  # covariance of what wanders away from the usual budget
    unsupported_NN: Matrix  # covariance of what no recorded run tells of budgets so far away
    gain_share_N: Matrix  # share of what a target gives to pretrained weights: 1; random ones come to it
    youth_N: Matrix  # how far training has hardly begun, 0 to 1
    small_budget_sd_N: Matrix  # standard deviation of results at very small budgets
    pretrained_N: NDArray[np.bool_]
    # Effects of pretrained starts fade with their advantage, those of random weights do not; 0 between both.
    faded_NN: Matrix

    def covariance(self, scales: PriorScales) -> Matrix:
        """N×N prior covariance."""
        return self.fixed() + sum(self.terms(scales).values())

    def fixed(self) -> Matrix:
        """The part that does not depend on the scales: rules, slopes and what very small and far budgets hide."""
        return self._fixed

    @functools.cached_property
    def _fixed(self) -> Matrix:
        small = self.small_budget_sd_N[:, None] * self.small_budget_sd_N[None, :] * self.near_budget_NN
        fixed: Matrix = self.rules_NN + self.same_data * (
            self.slopes_NN + self.unsupported_NN + small * (1.0 + SMALL_SHARE**2 * self._same_start)
        )
        return fixed

    @functools.cached_property
    def same_data(self) -> Matrix:
        """N×N: 1 for situations of one target, nearly so of copies or parts of its images, 0 of any other."""
        kernel_TT = np.exp(-self.target_distances_TT / TWIN_LENGTH)
        near_TT = _semidefinite(np.where(kernel_TT > LEAST_ALIKE, kernel_TT, 0.0))
        return among(np.where(np.abs(near_TT) > EXACT_ZERO, near_TT, 0.0), self.target_N)

    @functools.cached_property
    def _same_start(self) -> Matrix:
        return among(self.same_checkpoint_UU * self.same_mode_UU, self.start_N)

    @functools.cached_property
    def patterns(self) -> dict[str, Matrix]:
        """The parts that one standard deviation scales and no length shapes: N×N by name, 0 between unlike targets."""
        same_data = self.same_data
        pretrained_NN = same_data * (self.pretrained_N[:, None] & self.pretrained_N[None, :])
        pair = same_data * self._same_start
        young_NN = self.near_budget_NN * np.outer(self.youth_N, self.youth_N)
        return {
            "level": same_data,
            "budget": same_data * self.drift_NN,
            # Random weights come to gain as much with training; what pretrained ones reach does not fall.
            "gain": same_data * np.outer(self.gain_share_N, self.gain_share_N),
            # What a frozen backbone lacks on a target no longer training cures, so this alone does not fade.
            "mode": pretrained_NN * among(self.same_mode_UU, self.start_N),
            "pair": pair * self.faded_NN,
            "young": pair * young_NN,
        }

    def terms(self, scales: PriorScales) -> dict[str, Matrix]:
        """The covariance beyond the rules, N×N for each standard deviation that scales a part, by its name."""
        starts = among(self.starts(scales), self.start_N) * self.faded_NN
        similar = among(self.targets(scales), self.target_N)
        return {
            **{name: getattr(scales, name) ** 2 * pattern for name, pattern in self.patterns.items()},
            "start": scales.start**2 * starts,
            "start_on_similar": scales.start_on_similar**2 * starts * similar,
        }

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


def kernel_inputs(situations: Sequence[Situation]) -> KernelInputs:
    """Measure what the kernels compare."""
    weights, deviations, slopes = prior_weights()
    rows = np.asarray(features(situations), dtype=np.float64)
    targets = {s.target.dataset_hash: s.target for s in situations}
    sources = {s.source.dataset_hash: s.source for s in situations if s.source is not None}
    target_place = {key: i for i, key in enumerate(targets)}
    source_place = {key: i for i, key in enumerate(sources)}
    keys = [_kind(s) for s in situations]
    kinds = list(dict.fromkeys(keys))
    kind_place = {kind: i for i, kind in enumerate(kinds)}
    scratch = np.array([s.start.mode for s in situations]) == "scratch"
    # What random weights do better or worse than the rules say is no advantage of pretraining that would fade.
    fade = np.array([1.0 if s.checkpoint is None else head_start(s) for s in situations])
    movable_U = np.array([float(kind.movable) for kind in kinds])
    # A history has few budgets, and so has a question.
    budgets_B3, inverse = np.unique(coordinates(situations), axis=0, return_inverse=True)
    budget_N = inverse.ravel()  # numpy 2.0.0 gives it a second axis
    squared_BB = ((budgets_B3[:, None] - budgets_B3[None, :]) ** 2).sum(axis=2)
    unsupported_BB = UNSUPPORTED_SD**2 * drift_covariance(budgets_B3, beyond=SUPPORTED_DISTANCE)
    return KernelInputs(
        mean_N=rows @ weights,
        rules_NN=(rows * deviations**2) @ rows.T,
        slopes_NN=(rows * slopes**2) @ rows.T,
        target_N=np.array([target_place[s.target.dataset_hash] for s in situations], dtype=np.int64),
        target_distances_TT=squared_distances(list(targets.values())),
        start_N=np.array([kind_place[key] for key in keys], dtype=np.int64),
        source_U=np.array([source_place.get(kind.source, -1) for kind in kinds], dtype=np.int64),
        source_distances_SS=squared_distances(list(sources.values())),
        same_checkpoint_UU=_same([kind.weights for kind in kinds]),
        same_lineage_UU=_same([kind.at_random for kind in kinds]),
        same_mode_UU=_same([kind.mode for kind in kinds]),
        num_movable_UU=movable_U[:, None] + movable_U[None, :],
        near_budget_NN=among(np.exp(-squared_BB / 2), budget_N),
        drift_NN=among(drift_covariance(budgets_B3), budget_N),
        unsupported_NN=among(unsupported_BB, budget_N),
        gain_share_N=np.array([gain_share(s) for s in situations]),
        youth_N=np.array([youth(s) for s in situations]),
        small_budget_sd_N=np.array([small_budget_sd(s) for s in situations]),
        pretrained_N=~scratch,
        faded_NN=np.where(scratch[:, None] != scratch[None, :], 0.0, fade[:, None] * fade[None, :]),
    )


class _Kind(NamedTuple):
    """A start as the kernels compare it."""

    weights: str
    source: str  # its hash; empty for an unknown one, and for random weights
    mode: str
    at_random: bool  # the checkpoint's own training began from random weights
    movable: bool


def _kind(situation: Situation) -> _Kind:
    return _Kind(
        weights=_weights(situation),
        source="" if situation.source is None else situation.source.dataset_hash,
        mode=situation.start.mode,
        at_random=_began_at_random(situation),
        movable=_is_movable(situation),
    )


def _weights(situation: Situation) -> str:
    """The identity of a checkpoint: its file's sha256, or where none is known, their name."""
    checkpoint = situation.checkpoint
    return situation.start.checkpoint if checkpoint is None else checkpoint.sha256 or checkpoint.name


def _is_movable(situation: Situation) -> bool:
    """True where all layers of a detector train on after a broad training. Classifiers' runs gain nothing by it."""
    detector = not task_definition(situation.target.task).whole_images
    return detector and situation.start.mode == "full" and not _began_at_random(situation)


def _began_at_random(situation: Situation) -> bool:
    return situation.checkpoint is not None and situation.checkpoint.from_scratch


def same_images(profiles: Sequence[Profile]) -> NDArray[np.bool_]:
    """P×P: True for a data set and itself, its copies and its parts, which the forecast takes for one."""
    alike_PP: NDArray[np.bool_] = np.exp(-squared_distances(profiles) / TWIN_LENGTH) > LEAST_ALIKE
    return alike_PP


def _same(values: Sequence[str | bool]) -> Matrix:
    """U×U: 1 for equal values, else 0."""
    place = {value: i for i, value in enumerate(dict.fromkeys(values))}
    # Comparing text takes ten times as long.
    places_U = np.array([place[value] for value in values], dtype=np.int64)
    same: Matrix = (places_U[:, None] == places_U[None, :]).astype(np.float64)
    return same


def _kernel(distances: Matrix, length: float) -> Matrix:
    """exp(−squared distance / length), made positive semidefinite: the distances are noisy estimates."""
    return _semidefinite(np.exp(-distances / length))


def _semidefinite(symmetric: Matrix) -> Matrix:
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


def among(kernel: Matrix, rows_N: NDArray[np.int64]) -> Matrix:
    """The kernel's values for every pair of situations; row −1 is the last."""
    # Columns first: what is left to copy are whole rows, in a tenth of the time of indexing by pairs.
    found: Matrix = kernel.take(rows_N, axis=1).take(rows_N, axis=0)
    return found
