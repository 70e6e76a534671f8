"""The inputs of the kernels, measured once: targets, starts, sources and budgets of the situations.

Most parts of the covariance are shared within a target and its copies alone. Only those pairs of situations are looked
at for them, one in thirty of all pairs of the built-in history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

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
from recommender.forecast.kernels import KernelInputs, Matrix, among, semidefinite
from recommender.forecast.rules import features, head_start, prior_weights
from recommender.forecast.situation import Situation
from recommender.profile.embedding import squared_distances
from recommender.records import Profile
from recommender.tasks import task_definition

# A squared distance: copies and parts of a data set lie within .0005 of it, the nearest two others of the built-in
# history .03 apart (faces with and without masks), and these have little more in common than any two.
TWIN_LENGTH = 0.01
# Below LEAST_ALIKE targets count as unlike: it is what the kernel has at those .03. EXACT_ZERO is rounding's.
LEAST_ALIKE, EXACT_ZERO = 0.05, 1e-9
# Of what very small budgets hide, that sets one start apart from another: both end near 0. By judgement; .5 before
# `youth` levelled off.
SMALL_SHARE = 0.25


def kernel_inputs(situations: Sequence[Situation]) -> KernelInputs:
    """Measure what the kernels compare."""
    weights, deviations, slopes = prior_weights()
    rows_NF = np.asarray(features(situations), dtype=np.float64)
    targets = {s.target.dataset_hash: s.target for s in situations}
    sources = {s.source.dataset_hash: s.source for s in situations if s.source is not None}
    target_place = {key: i for i, key in enumerate(targets)}
    source_place = {key: i for i, key in enumerate(sources)}
    target_N = np.array([target_place[s.target.dataset_hash] for s in situations], dtype=np.int64)
    distances_TT = squared_distances(list(targets.values()))
    measured = [_measures(s) for s in situations]
    kind_place = {kind: i for i, kind in enumerate(dict.fromkeys(one.kind for one in measured))}
    kinds = list(kind_place)
    start_N = np.array([kind_place[one.kind] for one in measured], dtype=np.int64)
    same_checkpoint_UU = _same([kind.weights for kind in kinds])
    same_mode_UU = _same([kind.mode for kind in kinds])
    movable_U = np.array([float(kind.movable) for kind in kinds])
    fade_N = np.array([one.fade for one in measured])
    scratch_N = np.array([s.start.mode == "scratch" for s in situations])
    faded_NN = np.where(scratch_N[:, None] != scratch_N[None, :], 0.0, np.outer(fade_N, fade_N))

    same_data_TT = _same_data(distances_TT)
    pairs = _Pairs(*np.nonzero(among(same_data_TT != 0.0, target_N)))
    same_data_P = same_data_TT[pairs.both(target_N)]
    same_mode_P = same_mode_UU[pairs.both(start_N)]
    same_start_P = same_checkpoint_UU[pairs.both(start_N)] * same_mode_P
    budgets = _budgets(measured, pairs)
    bought_P = np.einsum("pf,pf->p", *pairs.both(rows_NF[:, slopes > 0] * slopes[slopes > 0]))
    fixed_P = bought_P + budgets.unsupported_P + budgets.small_P * (1.0 + SMALL_SHARE**2 * same_start_P)
    patterns = {
        "level": np.ones(len(same_data_P)),
        "budget": budgets.drift_P,
        # Random weights come to gain as much with training; what pretrained ones reach does not fall.
        "gain": pairs.product(np.array([one.gain for one in measured])),
        # What a frozen backbone lacks on a target no longer training cures, so this alone does not fade.
        "mode": same_mode_P * pairs.product(~scratch_N),
        "pair": same_start_P * faded_NN[pairs],
        "young": same_start_P * budgets.young_P,
    }
    return KernelInputs(
        mean_N=rows_NF @ weights,
        rules_NN=(rows_NF * deviations**2) @ rows_NF.T,
        target_N=target_N,
        target_distances_TT=distances_TT,
        start_N=start_N,
        source_U=np.array([source_place.get(kind.source, -1) for kind in kinds], dtype=np.int64),
        source_distances_SS=squared_distances(list(sources.values())),
        same_checkpoint_UU=same_checkpoint_UU,
        same_lineage_UU=_same([kind.at_random for kind in kinds]),
        same_mode_UU=same_mode_UU,
        num_movable_UU=movable_U[:, None] + movable_U[None, :],
        faded_NN=faded_NN,
        within_P=np.ravel_multi_index(pairs, faded_NN.shape),
        fixed_P=same_data_P * fixed_P,
        patterns={name: same_data_P * pattern_P for name, pattern_P in patterns.items()},
    )


def same_images(profiles: Sequence[Profile]) -> NDArray[np.bool_]:
    """P×P: True for a data set and itself, its copies and its parts, which the forecast takes for one."""
    alike_PP: NDArray[np.bool_] = np.exp(-squared_distances(profiles) / TWIN_LENGTH) > LEAST_ALIKE
    return alike_PP


def _same_data(distances_TT: Matrix) -> Matrix:
    """T×T: 1 for a target and itself, nearly so for copies or parts of its images, 0 for any other."""
    kernel_TT = np.exp(-distances_TT / TWIN_LENGTH)
    near_TT = semidefinite(np.where(kernel_TT > LEAST_ALIKE, kernel_TT, 0.0))
    same_TT: Matrix = np.where(np.abs(near_TT) > EXACT_ZERO, near_TT, 0.0)
    return same_TT


class _Pairs(NamedTuple):
    """P pairs of the N situations."""

    rows_P: NDArray[np.int64]
    columns_P: NDArray[np.int64]

    def both(self, values_N: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The values, or rows of a matrix, of each pair's first and of its second situation."""
        return values_N[self.rows_P], values_N[self.columns_P]

    def product(self, values_N: NDArray[Any]) -> Matrix:
        """The product of each pair's values."""
        product_P: Matrix = np.multiply(*self.both(values_N))
        return product_P


class _Budgets(NamedTuple):
    """The parts of the covariance that follow from the budgets of P pairs of situations."""

    drift_P: Matrix  # covariance of what wanders away from the usual budget
    unsupported_P: Matrix  # covariance of what no recorded run tells of budgets so far away
    small_P: Matrix  # covariance of results at very small image sizes, at near budgets
    young_P: Matrix  # how far training has hardly begun in both, at near budgets: 0 to 1


def _budgets(measured: Sequence[_Measures], pairs: _Pairs) -> _Budgets:
    # A history has few budgets, and so has a question.
    budgets_B3, inverse = np.unique([one.budget for one in measured], axis=0, return_inverse=True)
    both = pairs.both(inverse.ravel())  # numpy 2.0.0 gives it a second axis
    squared_BB = ((budgets_B3[:, None] - budgets_B3[None, :]) ** 2).sum(axis=2)
    near_P = np.exp(-squared_BB / 2)[both]
    return _Budgets(
        drift_P=drift_covariance(budgets_B3)[both],
        unsupported_P=UNSUPPORTED_SD**2 * drift_covariance(budgets_B3, beyond=SUPPORTED_DISTANCE)[both],
        small_P=near_P * pairs.product(np.array([one.small for one in measured])),
        young_P=near_P * pairs.product(np.array([one.youth for one in measured])),
    )


class _Measures(NamedTuple):
    """The numbers of one situation."""

    kind: _Kind
    budget: tuple[float, float, float]
    fade: float
    gain: float
    small: float
    youth: float


# One answer forecasts several times from the same situations, and these never change.
_known: WeakKeyDictionary[Situation, _Measures] = WeakKeyDictionary()


def _measures(situation: Situation) -> _Measures:
    found = _known.get(situation)
    if found is None:
        found = _known[situation] = _Measures(
            kind=_kind(situation),
            budget=coordinates(situation),
            # What random weights do better or worse than the rules say is no advantage of pretraining that would fade.
            fade=1.0 if situation.checkpoint is None else head_start(situation),
            gain=gain_share(situation),
            small=small_budget_sd(situation),
            youth=youth(situation),
        )
    return found


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


def _same(values: Sequence[str | bool]) -> Matrix:
    """U×U: 1 for equal values, else 0."""
    place = {value: i for i, value in enumerate(dict.fromkeys(values))}
    # Comparing text takes ten times as long.
    places_U = np.array([place[value] for value in values], dtype=np.int64)
    same: Matrix = (places_U[:, None] == places_U[None, :]).astype(np.float64)
    return same
