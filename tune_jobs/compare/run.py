"""`recommend compare`: forecast, train what the history does not know, score, and hand over the comparison."""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recommender import __version__
from recommender.comparison.comparison_input import (
    ComparedStart,
    ComparisonInput,
    ComparisonPlan,
    Evaluation,
    FailedTraining,
    FinishedTraining,
    HeldOutSplit,
    PriorForecast,
)
from recommender.home import subfolder
from recommender.profile.known import known_profile
from recommender.profile.notices import dataset_notices
from recommender.progress import Progress, silent
from recommender.records import SPLITS, Dataset, Notice, Run, Start
from recommender.requests import CompareRequest, at_usual_size
from recommender.store import Store
from recommender.text import counted
from tune_jobs.cluster import require_address
from tune_jobs.compare.forecasts import compared_starts_of, forecast_starts
from tune_jobs.compare.planning import MULTI_SCALE, entries_of, held_out_split, plan_runs
from tune_jobs.compare.scoring import evaluate, export_held_out, held_out_images, known_evaluation
from tune_jobs.storage import require_storage
from tune_jobs.sweep.compute_budget import ComputeBudget
from tune_jobs.sweep.display import Display
from tune_jobs.sweep.estimated import cost_in_words
from tune_jobs.sweep.policy import TrialView
from tune_jobs.sweep.run import SweepResult, SweepSettings, run_trials
from tune_jobs.sweep.trained import trained_path
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec

SCORING_SHARE = 0.15  # of a budget of wall time, for scoring the trained models and the report
MIN_LEFT_S = 1.0  # of a budget of device time, below which nothing more is begun


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """The comparison of the report, and the data set its pictures come from."""

    comparison: ComparisonInput
    target: Dataset
    was_interrupted: bool


def compare(
    request: CompareRequest,
    *,
    store: Store,
    progress: Progress = silent,
    display: Display | None = None,
    limits: TrialLimits | None = None,
    on_plan: Callable[[CompareRequest, tuple[Notice, ...], int, str], None] | None = None,
) -> Compared:
    """Train each start at each fraction and seed, within the budget; given again, it goes on where it was.

    `on_plan` is called between reading and training with the request, its starts and image size found, what is wrong
    with the data set, the number of trainings that are not known yet and how long they are expected to take, in words:
    a display may take the screen then, and an exception ends it before anything is trained. What is finished is kept
    and never trained twice.

    Raises as `open_dataset`, `entries_of`, `held_out_split` and `run_trials`.
    """
    from recommender.datasets import open_dataset

    require_storage(request.storage)
    require_address(request.address)
    began_at = time.monotonic()
    roots = tuple(Path(root) for root in request.allow_roots)
    target = open_dataset(request.dataset, task=request.task, allowed_roots=roots, progress=progress)
    request = at_usual_size(request, target.task)
    held = held_out_images(target, held_out_split(request, target))
    entries = entries_of(request, store, target.task)
    compared_starts = compared_starts_of(entries, target, store, progress)
    parts = _unkept(plan_runs(request, target, entries), held, tta=request.tta)
    id = comparison_id((spec.id for part in parts for spec in part), held)
    folder = subfolder("comparisons") / id
    folder.mkdir(parents=True, exist_ok=True)
    prior_forecast = forecast_starts(
        request,
        target,
        compared_starts,
        store,
        hidden={spec.id for part in parts for spec in part},
        file=folder / "forecast.json",
    )
    told = dataset_notices(target, known_profile(target, store))
    if on_plan is not None:
        new = trainings_ahead(parts, lambda spec: store.runs.get(spec.id) is None)
        planned = request.model_copy(update={"starts": tuple(str(entry.start) for entry in entries)})
        on_plan(planned, told, len(new), cost_in_words(new, store, gpus_per_trial=request.gpus_per_trial))
    deadline_s = began_at + (_wall_s(request.budget) or math.inf)
    results = _train(request, parts, store=store, display=display, limits=limits, began_at=began_at)
    trained = _scored(request, results, target, held, progress, deadline_s=deadline_s)
    comparison = _comparison_input(
        request, target, held, compared_starts, prior_forecast, trained, results, told
    )
    return Compared(
        comparison=replace(comparison, id=id),
        target=target,
        was_interrupted=any(result.was_interrupted for result in results),
    )


def comparison_id(run_ids: Iterable[str], held: HeldOutSplit) -> str:
    """The id of a comparison: the same for the same question, so that its forecast is found again."""
    return hashlib.sha256(f"{held.split} {sorted(run_ids)}".encode()).hexdigest()[:16]


def best_rates(trials: Sequence[TrialView]) -> dict[Start, float | None]:
    """The learning rate with the best mAP50-95 of each start; of equals the first tried."""
    best: dict[Start, TrialView] = {}
    for trial in trials:
        if trial.state == "finished" and trial.run is not None and trial.run.best is not None:
            known = best.get(trial.start)
            if known is None or (trial.best_score or 0.0) > (known.best_score or 0.0):
                best[trial.start] = trial
    return {start: trial.recipe.learning_rate for start, trial in best.items()}


def _unkept(
    parts: tuple[tuple[TrialSpec, ...], ...], held: HeldOutSplit, *, tta: bool
) -> tuple[tuple[TrialSpec, ...], ...]:
    """Weights that were scored already need not be here any more."""
    return tuple(
        tuple(
            replace(spec, job=replace(spec.job, keep=known_evaluation(spec.id, held.split, tta=tta) is None))
            for spec in part
        )
        for part in parts
    )


def trainings_ahead(
    parts: tuple[tuple[TrialSpec, ...], ...], is_new: Callable[[TrialSpec], bool]
) -> tuple[TrialSpec, ...]:
    """The new trials of the rates, and of each start the rest at the rate of which most is new.

    The rest is trained at one rate, and which one is not known before.
    """
    explored, rest = parts
    at_rate: dict[tuple[Start, float | None], list[TrialSpec]] = {}
    for spec in rest:
        same = at_rate.setdefault((spec.job.start, spec.job.recipe.learning_rate), [])
        same.extend([spec] if is_new(spec) else [])
    most: dict[Start, list[TrialSpec]] = {}
    for (start, _), new in at_rate.items():
        most[start] = max(most.get(start, []), new, key=len)
    return (*(spec for spec in explored if is_new(spec)), *itertools.chain.from_iterable(most.values()))


def _train(
    request: CompareRequest,
    parts: tuple[tuple[TrialSpec, ...], ...],
    *,
    store: Store,
    display: Display | None,
    limits: TrialLimits | None,
    began_at: float,
) -> tuple[SweepResult, ...]:
    """The learning rates first, where several are tried; then everything at each start's best."""
    explored, rest = parts
    settings = SweepSettings(
        address=request.address,
        gpus_per_trial=request.gpus_per_trial,
        cpus_per_trial=request.cpus_per_trial,
        max_parallel=request.parallel,
        budget=_for_training(request.budget),
        storage=request.storage,
        limits=limits or TrialLimits(),
    )
    results: list[SweepResult] = []
    if explored:
        results.append(
            run_trials(explored, store=store, settings=settings, display=display, began_at=began_at)
        )
        rates = best_rates(results[0].trials)
        rest = tuple(
            spec
            for spec in rest
            if spec.job.start in rates and spec.job.recipe.learning_rate == rates[spec.job.start]
        )
        left = _left_of(settings.budget, results[0])
        if results[0].reason is not None or left == "":
            return tuple(results)
        settings = replace(settings, budget=left)
    if rest:
        results.append(run_trials(rest, store=store, settings=settings, display=display, began_at=began_at))
    return tuple(results)


def _left_of(budget: str | None, result: SweepResult) -> str | None:
    """The part of a budget that a first sweep left; "" is nothing. Wall time counts from the beginning by itself."""
    allowance = ComputeBudget.parse(budget)
    if allowance.kind == "wall":
        return budget
    left_s = allowance.left_s(result.view.spent_s) or 0.0
    return f"{left_s / 60:.4f}gpu-m" if left_s > MIN_LEFT_S else ""


def _wall_s(budget: str | None) -> float | None:
    """The cap on wall time in seconds; None for none, and for a cap on device time."""
    allowance = ComputeBudget.parse(budget)
    return allowance.limit_s if allowance.kind == "wall" else None


def _for_training(budget: str | None) -> str | None:
    """The part of a budget that trainings may take: of wall time some is kept for scoring and the report."""
    wall_s = _wall_s(budget)
    return budget if wall_s is None else f"{(1 - SCORING_SHARE) * wall_s:.1f}s"


def _scored(
    request: CompareRequest,
    results: Sequence[SweepResult],
    target: Dataset,
    held: HeldOutSplit,
    progress: Progress,
    *,
    deadline_s: float,
) -> tuple[FinishedTraining, ...]:
    """The runs with their scores; a model whose scoring would not end before the deadline waits for the next time."""
    runs = [run for result in results for run in result.runs if run.best is not None]
    data = export_held_out(target, held.split)
    trained = []
    longest_s = 0.0
    for number, run in enumerate(runs):
        progress("scoring", number, len(runs))
        began_s = time.monotonic()
        found = known_evaluation(run.id, held.split, tta=request.tta)
        if found is None and began_s + longest_s <= deadline_s:
            found = _evaluation(request, run, data, held)
            longest_s = max(longest_s, time.monotonic() - began_s)
        trained.append(FinishedTraining(run=run, evaluation=found or known_evaluation(run.id, held.split)))
    progress("scoring", len(runs), len(runs))
    return tuple(trained)


def _evaluation(request: CompareRequest, run: Run, data: Path, held: HeldOutSplit) -> Evaluation | None:
    if not trained_path(run.id).exists():
        return None
    return evaluate(run.id, trained_path(run.id), data, held, imgsz=request.imgsz, tta=request.tta)


def _comparison_input(
    request: CompareRequest,
    target: Dataset,
    held: HeldOutSplit,
    compared_starts: tuple[ComparedStart, ...],
    prior_forecast: PriorForecast,
    trained: tuple[FinishedTraining, ...],
    results: Sequence[SweepResult],
    told: tuple[Notice, ...],
) -> ComparisonInput:
    reasons = [result.reason for result in results if result.reason is not None]
    unscored = sum(one.evaluation is None and trained_path(one.run.id).exists() for one in trained)
    if unscored:
        reasons.append(f"the budget is spent, still to be scored: {counted(unscored, 'trained model')}")
    missing = (
        _failure(trial)
        for result in results
        for trial in result.trials
        if trial.state != "finished" or trial.run is None or trial.run.best is None
    )
    return ComparisonInput(
        id="",
        task=target.task,
        plan=_plan_of(request, target, tuple(one.start for one in compared_starts)),
        compared_starts=compared_starts,
        prior_forecast=prior_forecast,
        trained=trained,
        failures=tuple(missing),
        held=held,
        ended_early=reasons[0] if reasons else None,
        notices=(*told, *prior_forecast.warnings),
        hardware=tuple(dict.fromkeys(one.run.environment.hardware for one in trained)),
        version=__version__,
    )


def _plan_of(request: CompareRequest, target: Dataset, starts: tuple[Start, ...]) -> ComparisonPlan:
    counts = {split: len(target.of_split(split)) for split in SPLITS}
    return ComparisonPlan(
        dataset_name=target.name,
        dataset_hash=target.content_hash,
        class_names=target.class_names,
        num_train=counts["train"],
        num_val=counts["val"],
        num_test=counts["test"],
        starts=starts,
        fractions=tuple(sorted(request.fractions, reverse=True)),
        seeds=len(request.seeds),
        epochs=request.epochs,
        patience=request.patience or None,
        imgsz=request.imgsz,
        batch=request.batch,
        optimizer=request.optimizer,
        learning_rates=tuple(None if isinstance(r, str) else r for r in request.learning_rates),
        confidence=request.confidence,
        multi_scale=MULTI_SCALE if request.multi_scale else 0.0,
        tta=request.tta,
    )


def _failure(trial: TrialView) -> FailedTraining:
    error = trial.run.error if trial.run is not None else None
    return FailedTraining(
        start=trial.start,
        fraction=trial.recipe.fraction,
        seed=trial.recipe.seed,
        learning_rate=trial.recipe.learning_rate,
        why=error or trial.note or "not run within the budget",
    )
