"""The forecast's prior: how the results of situations vary together, before any of them is known.

What does not depend on the spread is laid out once (`Ground`), so that learning the spread stays cheap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.forecast.rules import beliefs, features, head_start
from recommender.forecast.situation import Situation
from recommender.profile.embedding import squared_distances

Matrix = NDArray[np.float64]
STEP = 1e-4  # of a length's logarithm, for derivatives


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Standard deviations (arcsine square root scale) and kernel lengths (squared embedding distance)."""

    level: float = 0.20
    gain: float = 0.10  # of pretraining as such, from target to target
    mode: float = 0.05  # of freezing against full training, from target to target
    habit: float = 0.05
    habit_on_kin: float = 0.06
    pair: float = 0.04
    noise: float = 0.03
    offset: float = 0.3  # of what runs that broke off still would have gained
    source_length: float = 0.25
    target_length: float = 0.35
    epochs_length: float = 0.5  # decades of epochs after which a trial's surprise is half forgotten
    across_modes: float = 0.6  # how far a habit in one mode speaks for the other
    across_checkpoints: float = 0.8  # how far one checkpoint speaks for another of the same source


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """N situations laid out. The kernels compare T targets and S sources, which are few."""

    mean_N: Matrix
    rules_NN: Matrix  # covariance of what the rules say
    target_N: NDArray[np.int64]  # which of the T targets
    target_distances_TT: Matrix
    source_N: NDArray[np.int64]  # which of the S sources; -1 for none
    source_distances_SS: Matrix
    same_checkpoint_NN: Matrix
    same_lineage_NN: Matrix  # both began from random weights, or neither is known to
    same_mode_NN: Matrix
    same_start_NN: Matrix
    decades_apart_NN: Matrix
    pretrained_N: NDArray[np.bool_]
    faded_NN: Matrix  # a habit fades with the head start it lives on; none between scratch and the rest

    def covariance(self, spread: Spread) -> Matrix:
        """N×N prior covariance."""
        return self.rules_NN + sum(self.terms(spread).values())

    def terms(self, spread: Spread) -> dict[str, Matrix]:
        """What the covariance adds to the rules (N×N each), by the name of the standard deviation that scales it."""
        same_target = (self.target_N[:, None] == self.target_N[None, :]).astype(np.float64)
        gain = same_target * self.faded_NN * (self.pretrained_N[:, None] & self.pretrained_N[None, :])
        starts = self._starts(spread)
        kin = _among(_kernel(self.target_distances_TT, spread.target_length), self.target_N)
        apart = np.exp(-math.log(2) * (self.decades_apart_NN / spread.epochs_length) ** 2)
        return {
            "level": spread.level**2 * same_target,
            "gain": spread.gain**2 * gain,
            "mode": spread.mode**2 * gain * self.same_mode_NN,
            "pair": spread.pair**2 * same_target * self.same_start_NN * apart,
            "habit": spread.habit**2 * starts,
            "habit_on_kin": spread.habit_on_kin**2 * starts * kin,
        }

    def derivatives(self, spread: Spread, terms: dict[str, Matrix]) -> dict[str, Matrix]:
        """Of `covariance`, whose `terms` these are, by the logarithm of each number of the spread that is learnt."""
        starts = terms["habit"] + terms["habit_on_kin"]
        other_checkpoint = starts * (1.0 - self.same_checkpoint_NN)
        source_SS = _relative_change(self.source_distances_SS, spread.source_length)
        target_TT = _relative_change(self.target_distances_TT, spread.target_length)
        return {
            **{name: 2.0 * term for name, term in terms.items()},
            "source_length": other_checkpoint * _among(source_SS, self.source_N),
            "target_length": terms["habit_on_kin"] * _among(target_TT, self.target_N),
            "across_modes": starts * (1.0 - self.same_mode_NN),
            "across_checkpoints": other_checkpoint,
        }

    def _starts(self, spread: Spread) -> Matrix:
        """1 for the same start, less for unlike sources or another mode, 0 between scratch and the rest."""
        alike = _among(_kernel(self.source_distances_SS, spread.source_length), self.source_N)
        # The same pictures teach other features from random weights.
        other = alike * self.same_lineage_NN * spread.across_checkpoints
        kernel = np.where(self.same_checkpoint_NN > 0, 1.0, other)
        kernel *= np.where(self.same_mode_NN > 0, 1.0, spread.across_modes)
        kernel *= self.faded_NN
        return kernel


def lay_out(situations: Sequence[Situation]) -> Ground:
    """Measure what the kernels compare."""
    weights, doubts = beliefs()
    rows = np.asarray(features(situations), dtype=np.float64)
    targets = {s.target.dataset_hash: s.target for s in situations}
    sources = {s.source.dataset_hash: s.source for s in situations if s.source is not None}
    target_place = {key: i for i, key in enumerate(targets)}
    source_place = {key: i for i, key in enumerate(sources)}
    modes = np.array([s.start.mode for s in situations])
    scratch = modes == "scratch"
    fade = np.array([head_start(s) for s in situations])
    decades = np.log10([s.budget.epochs for s in situations])
    return Ground(
        mean_N=rows @ weights,
        rules_NN=(rows * doubts**2) @ rows.T,
        target_N=np.array([target_place[s.target.dataset_hash] for s in situations], dtype=np.int64),
        target_distances_TT=squared_distances(list(targets.values())),
        source_N=np.array(
            [-1 if s.source is None else source_place[s.source.dataset_hash] for s in situations],
            dtype=np.int64,
        ),
        source_distances_SS=squared_distances(list(sources.values())),
        same_checkpoint_NN=_same([s.start.checkpoint for s in situations]),
        same_lineage_NN=_same(
            [str(s.checkpoint is not None and s.checkpoint.from_scratch) for s in situations]
        ),
        same_mode_NN=_same(modes.tolist()),
        same_start_NN=_same([str(s.start) for s in situations]),
        decades_apart_NN=decades[:, None] - decades[None, :],
        pretrained_N=~scratch,
        faded_NN=np.where(scratch[:, None] != scratch[None, :], 0.0, fade[:, None] * fade[None, :]),
    )


def _same(names: Sequence[str]) -> Matrix:
    array = np.array(names)
    same: Matrix = (array[:, None] == array[None, :]).astype(np.float64)
    return same


def _kernel(distances: Matrix, length: float) -> Matrix:
    """exp(−squared distance / length), made positive semidefinite: the distances are noisy estimates."""
    values, vectors = np.linalg.eigh(np.exp(-distances / length))
    kernel: Matrix = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return kernel


def _relative_change(distances: Matrix, length: float) -> Matrix:
    """Derivative of the kernel by its length's logarithm, divided by the kernel."""
    above, below = (_kernel(distances, length * math.exp(step)) for step in (STEP, -STEP))
    change: Matrix = (above - below) / (2 * STEP) / np.maximum(_kernel(distances, length), 1e-12)
    return change


def _among(kernel: Matrix, rows_N: NDArray[np.int64]) -> Matrix:
    """The kernel's values for every pair of situations, 0 where a row is −1, which stands for none."""
    found: Matrix = np.pad(kernel, (0, 1))[np.ix_(rows_N, rows_N)]
    return found
