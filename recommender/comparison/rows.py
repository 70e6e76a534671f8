"""One row for each start at each share of the data, over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recommender.comparison.comparison_input import ComparedStart, ComparisonInput, FinishedTraining, Score
from recommender.comparison.noise import SeedNoise, SeedSpread, seed_noise, spread_of
from recommender.records import EpochMetrics, Start


@dataclass(frozen=True, kw_only=True)
class StartingScore:
    """The checkpoint's own score before any training, and on what."""

    score: float | None
    measured_on: Literal["target", "own domain", "unknown", "random weights"]


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One start at one share of the train images. What seeds spread over is a `SeedSpread`."""

    start: Start
    fraction: float
    train_images: int  # it was trained on
    learning_rate: float | None  # really used
    starting: StartingScore
    score: SeedSpread  # on the split that scores
    details: dict[str, SeedSpread]  # the task's other metrics, by name
    tta: SeedSpread | None  # score with test-time augmentation; None where not tried or not possible
    val_score: SeedSpread  # of the best epoch on the validation images; what the forecast speaks of
    epochs_to_best: SeedSpread
    seconds_to_best: SeedSpread
    seconds: SeedSpread  # of the whole training
    estimated_seconds: SeedSpread | None  # of the same, before it began; None where nothing was timed by then
    runs: tuple[str, ...]


def rows_of(comparison: ComparisonInput) -> tuple[ComparisonRow, ...]:
    """Every start at every fraction that has a result, at its best learning rate; the best start first."""
    rates = chosen_rates(comparison)
    groups: dict[tuple[float, Start], list[FinishedTraining]] = {}
    for trained in comparison.trained:
        if trained.run.recipe.learning_rate == rates[trained.start] and _is_scored(comparison, trained):
            groups.setdefault((trained.fraction, trained.start), []).append(trained)
    rows = [_row(comparison, group) for group in groups.values()]
    return tuple(sorted(rows, key=lambda row: (-row.fraction, -row.score.mean, str(row.start))))


def main_rows(rows: Sequence[ComparisonRow]) -> tuple[ComparisonRow, ...]:
    """The rows at the largest share of the data, the best start first."""
    largest = max((row.fraction for row in rows), default=1.0)
    return tuple(row for row in rows if row.fraction == largest)


def noise_of(comparison: ComparisonInput, rows: Sequence[ComparisonRow]) -> SeedNoise:
    """The noise between seeds of the same start and share, pooled."""
    by_id = {trained.run.id: trained for trained in comparison.trained}
    return seed_noise([[score_of(comparison, by_id[id]).score for id in row.runs] for row in rows])


def chosen_rates(comparison: ComparisonInput) -> dict[Start, float | None]:
    """The rate of each start that did best on the validation images at the largest share, first seed."""
    best: dict[Start, FinishedTraining] = {}
    for trained in sorted(comparison.trained, key=lambda one: (-one.fraction, one.run.recipe.seed)):
        known = best.get(trained.start)
        if known is None or (
            (known.fraction, known.run.recipe.seed) == (trained.fraction, trained.run.recipe.seed)
            and (trained.run.score or 0.0) > (known.run.score or 0.0)
        ):
            best[trained.start] = trained
    return {start: trained.run.recipe.learning_rate for start, trained in best.items()}


def _is_scored(comparison: ComparisonInput, trained: FinishedTraining) -> bool:
    """True if the run has a score on the split that scores: on held-out images it needs its weights."""
    return trained.evaluation is not None or not comparison.held.is_held_out


def _row(comparison: ComparisonInput, group: Sequence[FinishedTraining]) -> ComparisonRow:
    runs = [trained.run for trained in group]
    scores = [score_of(comparison, trained) for trained in group]
    best = [run.best for run in runs if run.best is not None]
    return ComparisonRow(
        start=runs[0].start,
        fraction=runs[0].recipe.fraction,
        train_images=runs[0].num_train_images,
        learning_rate=runs[0].learning_rate_used,
        starting=_starting(comparison.compared_start(runs[0].start), group),
        score=_known([score.score for score in scores]),
        details=_details(scores),
        tta=spread_of(
            one.evaluation.tta.score if one.evaluation and one.evaluation.tta else None for one in group
        ),
        val_score=_known([point.score for point in best]),
        epochs_to_best=_known([float(point.epoch) for point in best]),
        seconds_to_best=_known([point.seconds for point in best]),
        seconds=_known([run.seconds for run in runs]),
        estimated_seconds=spread_of(run.expected_seconds for run in runs),
        runs=tuple(run.id for run in runs),
    )


def score_of(comparison: ComparisonInput, trained: FinishedTraining) -> Score | EpochMetrics:
    """The score on the held-out images, else the point of the curve whose weights were kept.

    Raises ValueError for a run without a finished epoch.
    """
    if comparison.held.is_held_out and trained.evaluation is not None:
        return trained.evaluation.score
    if trained.run.best is None:
        raise ValueError(f"run {trained.run.id} has no finished epoch")
    return trained.run.best


def _details(scores: Sequence[Score | EpochMetrics]) -> dict[str, SeedSpread]:
    """The spread of every other metric that all of them have."""
    names = [name for name in scores[0].details if all(name in score.details for score in scores)]
    return {name: _known([score.details[name] for score in scores]) for name in names}


def _known(values: Sequence[float]) -> SeedSpread:
    found = spread_of(values)
    if found is None:
        raise ValueError("a row without a finished run")
    return found


def _starting(compared_start: ComparedStart, group: Sequence[FinishedTraining]) -> StartingScore:
    checkpoint = compared_start.checkpoint
    if checkpoint is None:
        return StartingScore(score=None, measured_on="random weights")
    here = spread_of(trained.run.starting_score for trained in group)
    if here is not None:
        return StartingScore(score=here.mean, measured_on="target")
    if checkpoint.source_score is not None:
        return StartingScore(score=checkpoint.source_score, measured_on="own domain")
    return StartingScore(score=None, measured_on="unknown")
