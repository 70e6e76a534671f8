"""The time and memory of trials, estimated before they begin."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.costs.estimates import (
    about,
    estimate_training,
    not_timed,
    operations_at,
    speed_here,
    total_seconds,
)
from recommender.records import Estimate
from recommender.store import Store
from tune_jobs.sweep.trial_spec import TrialSpec


def estimates_of(
    specs: Sequence[TrialSpec], store: Store, *, gpus_per_trial: float | None
) -> dict[str, Estimate]:
    """The estimate of each trial whose data set was counted, by its run."""
    gpus = _gpus(gpus_per_trial)
    counted = [spec for spec in specs if spec.num_images is not None]
    kinds = {(spec.job.task, spec.job.kind) for spec in counted}
    speeds = {(task, kind): speed_here(store, task, kind, gpus=gpus) for task, kind in kinds}
    return {
        spec.id: estimate_training(
            speeds[spec.job.task, spec.job.kind],
            architecture=spec.job.architecture,
            mode=spec.job.start.mode,
            recipe=spec.job.recipe,
            num_images=spec.num_images,
            flops_b=operations_at(store, spec.job.architecture, spec.job.start),
        )
        for spec in counted
        if spec.num_images is not None
    }


def cost_in_words(specs: Sequence[TrialSpec], store: Store, *, gpus_per_trial: float | None) -> str:
    """The time of all in words, "about 3.5 h one after the other, by 5 runs timed here"; "" for no trials."""
    estimates = list(estimates_of(specs, store, gpus_per_trial=gpus_per_trial).values())
    if not estimates:
        return ""
    seconds = total_seconds(estimates)
    if seconds is None:
        return not_timed(_gpus(gpus_per_trial))
    return f"{about(seconds)} one after the other, {estimates[0].basis}"


def _gpus(gpus_per_trial: float | None) -> int | None:
    """The GPUs of a trial as `speed_here` takes them: 0 where none was asked for, else left open."""
    return 0 if gpus_per_trial == 0 else None
