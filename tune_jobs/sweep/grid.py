"""`recommend sweep`: every start on every target, across the cluster; fills the history."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recommender.progress import Progress, silent
from recommender.records import Notice
from recommender.requests import SweepRequest
from recommender.store import Store
from tune_jobs.cluster import require_address
from tune_jobs.inputs import require_unchanged
from tune_jobs.storage import require_storage
from tune_jobs.sweep.display import Display
from tune_jobs.sweep.documents import SweepCost
from tune_jobs.sweep.estimated import cost_in_words
from tune_jobs.sweep.planning import plan_sweep
from tune_jobs.sweep.run import SweepResult, SweepSettings, run_trials
from tune_jobs.sweep.trial_spec import TrialLimits


@dataclass(frozen=True, kw_only=True)
class Swept:
    """The result of a sweep, and notices about what was left out of it."""

    result: SweepResult
    notices: tuple[Notice, ...]


def sweep(
    request: SweepRequest,
    *,
    store: Store,
    progress: Progress = silent,
    display: Display | None = None,
    limits: TrialLimits | None = None,
    on_plan: Callable[[int, str], None] | None = None,
    stop: Callable[[], str | None] | None = None,
    allow_loopback: bool = True,
    before: SweepCost | None = None,
    hashes: Sequence[str] = (),
) -> Swept:
    """Read and profile the targets, plan the trials, run those the history does not know.

    `on_plan` is called between reading and training, when a display may take the screen, with the number of trials
    that are not known yet and how long they are expected to take, in words. `stop` is asked now and
    then and may return a reason to end. `allow_loopback` as in `connect`. `before` is what earlier attempts at this
    sweep have cost, which counts toward the budget too; `hashes` are the data sets' contents when it was asked for.
    Raises DatasetError where one has changed since, and as `open_dataset`, `plan_sweep` and `run_trials`.
    """
    from recommender.datasets import open_dataset
    from recommender.profile.known import known_profile

    require_storage(request.storage)
    require_address(request.address)
    began_at = time.monotonic() - (before.elapsed_s if before else 0.0)
    roots = tuple(Path(root) for root in request.allow_roots)
    targets = [
        open_dataset(path, task=request.task, allowed_roots=roots, progress=progress)
        for path in request.datasets
    ]
    for target, hash in zip(targets, hashes, strict=False):
        require_unchanged(target, hash, "sweep")
    for target in targets:
        known_profile(target, store, progress=progress)  # a run teaches only where its target is known
    plan = plan_sweep(request, targets, store)
    if on_plan is not None:
        new = [spec for spec in plan.specs if store.runs.get(spec.id) is None]
        on_plan(len(new), cost_in_words(new, store, gpus_per_trial=request.gpus_per_trial))
    result = run_trials(
        plan.specs,
        store=store,
        settings=replace(settings_of(request, limits), allow_loopback=allow_loopback),
        display=display,
        began_at=began_at,
        device_s_before=before.device_s if before else 0.0,
        stop=stop,
    )
    return Swept(result=result, notices=plan.notices)


def settings_of(request: SweepRequest, limits: TrialLimits | None = None) -> SweepSettings:
    """The part of a request that says where to run and what it may cost."""
    return SweepSettings(
        address=request.address,
        gpus_per_trial=request.gpus_per_trial,
        cpus_per_trial=request.cpus_per_trial,
        max_parallel=request.parallel,
        budget=request.budget,
        storage=request.storage,
        limits=limits or TrialLimits(),
    )
