"""The influence of past runs on a forecast: by how much each moves the expected score of one start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recommender.blas import single_blas_thread
from recommender.forecast.gaussian_process import noise_of, result_of
from recommender.forecast.kernel_inputs import kernel_inputs
from recommender.forecast.kernels import PriorScales
from recommender.forecast.situation import Observation, Situation, from_scale
from recommender.records import RunUsed

MOST_SHOWN = 8


@single_blas_thread()
def runs_used(
    history: Sequence[Observation], situation: Situation, scales: PriorScales | None = None
) -> tuple[RunUsed, ...]:
    """The runs whose absence would change the forecast of `situation` most, and all on its target, largest first."""
    if not history:
        return ()
    scales = scales or PriorScales()
    inputs = kernel_inputs([observation.situation for observation in history] + [situation])
    covariance = inputs.covariance(scales)
    residual_R = np.array([result_of(observation) for observation in history]) - inputs.mean_N[:-1]
    inverse_RR = np.linalg.inv(covariance[:-1, :-1] + noise_of(history, scales))
    weights_R, residual_weights_R = inverse_RR @ covariance[-1, :-1], inverse_RR @ residual_R
    mean_R = np.full(len(history), inputs.mean_N[-1] + weights_R @ residual_R)
    # Leaving run i out moves the mean by w_i α_i / (K⁻¹)_ii: Rasmussen & Williams (2006), section 5.4.2.
    moved_R = weights_R * residual_weights_R / np.diag(inverse_RR)
    effects_R = from_scale(mean_R) - from_scale(mean_R - moved_R)
    order = np.argsort(-np.abs(effects_R), kind="stable")
    target = situation.target.dataset_hash
    own = [i for i in order if history[i].situation.target.dataset_hash == target]
    others = [i for i in order if history[i].situation.target.dataset_hash != target]
    chosen = [*own, *others][:MOST_SHOWN] if own else others[:MOST_SHOWN]
    shown = sorted(chosen, key=lambda i: -abs(effects_R[i]))
    return tuple(_used(history[i], target, float(effects_R[i])) for i in shown)


def _used(observation: Observation, target: str, effect: float) -> RunUsed:
    situation = observation.situation
    return RunUsed(
        run=observation.run.id,
        target_name=situation.target.dataset_name,
        same_target=situation.target.dataset_hash == target,
        start=situation.start,
        epochs=len(observation.run.curve),
        imgsz=situation.budget.imgsz,
        num_train_images=situation.num_train_images,
        score=observation.score,
        effect=effect,
    )
