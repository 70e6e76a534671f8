"""Reasons for a pretrained start to lose: the known causes, checked against this comparison's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recommender.comparison.comparison_input import ComparedStart, ComparisonInput, FinishedTraining
from recommender.comparison.noise import CARE, SeedNoise, spread_of
from recommender.comparison.rows import ComparisonRow
from recommender.forecast.rules import LEAK_SHARE
from recommender.profile import NOTHING_SIMILAR
from recommender.tasks import task_definition
from recommender.text import counted, printable

UNLIKE = 0.1  # similarity by which a source has to be further away to be named for it
HARMFUL_DROP = 0.5  # of its own score lost in the first epochs
FEW_IMAGES = 0.5  # of the winner's source images
STILL_RISING = 0.9  # of the epochs: a best epoch later than that may not have been the end


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One suspect, with its number."""

    code: Literal[
        "learning_rate", "frozen", "head", "domain", "source_size", "unfinished", "small_batch", "unexplained"
    ]
    text: str


@dataclass(frozen=True, kw_only=True)
class WorseStart:
    """A pretrained start that did worse than scratch, or than the best start, by more than noise."""

    row: ComparisonRow
    winner: ComparisonRow
    to_scratch: bool
    gap: float  # of the task's primary metric
    reasons: tuple[Reason, ...]


def worse_starts(
    comparison: ComparisonInput, rows: Sequence[ComparisonRow], noise: SeedNoise
) -> tuple[WorseStart, ...]:
    """Every pretrained start that lost, worst first. `rows` are those of one share, the best first."""
    found = []
    scratch = next((row for row in rows if row.start.mode == "scratch"), None)
    for row in rows:
        if row.start.mode == "scratch":
            continue
        to_scratch = scratch is not None and noise.direction(row.score, scratch.score) == "less"
        winner = scratch if to_scratch and scratch is not None else rows[0]
        if row is rows[0] or noise.direction(row.score, winner.score) != "less":
            continue
        found.append(
            WorseStart(
                row=row,
                winner=winner,
                to_scratch=to_scratch,
                gap=winner.score.mean - row.score.mean,
                reasons=_reasons(comparison, row, rows, noise),
            )
        )
    return tuple(sorted(found, key=lambda loss: -loss.gap))


def _reasons(
    comparison: ComparisonInput, row: ComparisonRow, rows: Sequence[ComparisonRow], noise: SeedNoise
) -> tuple[Reason, ...]:
    compared_start = comparison.compared_start(row.start)
    best = next((other for other in rows if other.start.mode != "scratch"), row)
    rival = comparison.compared_start(best.start)
    trained = [one for one in comparison.trained if one.run.id in row.runs]
    suspects = (
        _frozen(compared_start, row, rows, noise, task_definition(comparison.task).metric.label),
        _learning_rate(comparison, row, trained),
        _domain(compared_start, rival),
        _head(compared_start, rival),
        _source_size(compared_start, rival),
        _unfinished(row, trained),
        _small_batch(trained),
        _only_rate(comparison, row, trained),
    )
    found = tuple(reason for reason in suspects if reason is not None)
    return found or (
        Reason(code="unexplained", text="none of the usual suspects stands out; repeat it with more seeds."),
    )


def _frozen(
    one: ComparedStart, row: ComparisonRow, rows: Sequence[ComparisonRow], noise: SeedNoise, metric: str
) -> Reason | None:
    if one.start.mode != "freeze":
        return None
    share = trainable_share(one)
    text = (
        f"its backbone is frozen: {share:.0%} of the weights train, and the frozen batch norms keep the statistics "
        "of their source's images"
    )
    same = next(
        (r for r in rows if r.start.checkpoint == one.start.checkpoint and r.start.mode == "full"), None
    )
    if same is not None:
        gap = same.score.mean - row.score.mean
        if noise.direction(same.score, row.score) == "more":
            text += f"; the same weights trained in full reach {gap:+.3f} {metric}"
        elif abs(gap) <= CARE or noise.direction(same.score, row.score) == "same":
            return None  # freezing is not what made the difference
    return Reason(code="frozen", text=text + ".")


def _learning_rate(
    comparison: ComparisonInput, row: ComparisonRow, trained: Sequence[FinishedTraining]
) -> Reason | None:
    tried = rates_tried(comparison, row)
    if len(tried) > 1:
        values = [value for _, value in tried]
        swing = max(values) - min(values)
        shown = ", ".join(f"{rate:g}: {value:.3f}" for rate, value in tried)
        if swing > CARE:
            return Reason(
                code="learning_rate",
                text=f"the learning rate alone moves it by {swing:.3f} ({shown}); this is its best of those tried.",
            )
        return None
    drop = _early_drop(row, trained)
    if drop is None:
        return None
    before, after = drop
    return Reason(
        code="learning_rate",
        text=f"the first epochs threw away what it could do: its own score here fell from {before:.3f} to "
        f"{after:.3f}. A learning rate under {row.learning_rate or 0:g} may keep it (--learning-rates).",
    )


def _only_rate(
    comparison: ComparisonInput, row: ComparisonRow, trained: Sequence[FinishedTraining]
) -> Reason | None:
    """The reason for a start tried at one learning rate alone: no proof, so it comes last."""
    if len(rates_tried(comparison, row)) > 1 or _early_drop(row, trained) is not None:
        return None
    rate = f"{row.learning_rate:g}" if row.learning_rate else "the default"
    return Reason(
        code="learning_rate",
        text=f"only one learning rate was tried, {rate}: a suspect until others were "
        "(--learning-rates default,3e-4).",
    )


def rates_tried(comparison: ComparisonInput, row: ComparisonRow) -> tuple[tuple[float, float], ...]:
    """Each learning rate and the score it reached on the validation images, with the seed that tried most."""
    by_seed: dict[int, dict[float, float]] = {}
    for one in comparison.trained:
        best, rate = one.run.best, one.run.learning_rate_used
        if one.start == row.start and one.fraction == max(comparison.plan.fractions) and best and rate:
            by_seed.setdefault(one.run.recipe.seed, {})[rate] = best.score
    return tuple(sorted(max(by_seed.values(), key=len, default={}).items()))


def _early_drop(row: ComparisonRow, trained: Sequence[FinishedTraining]) -> tuple[float, float] | None:
    before = row.starting.score if row.starting.measured_on == "target" else None
    after = spread_of(max(point.score for point in t.run.curve[:2]) for t in trained if t.run.curve)
    if before is None or after is None or before < 0.05 or after.mean > (1 - HARMFUL_DROP) * before:
        return None
    return before, after.mean


def _domain(one: ComparedStart, rival: ComparedStart) -> Reason | None:
    mine, its = one.evidence.similarity, rival.evidence.similarity
    if mine is None:
        return None
    leak = one.evidence.source_images_seen or 0.0
    if leak >= LEAK_SHARE:
        return None
    if one.start.checkpoint != rival.start.checkpoint and its is not None and mine < its - UNLIKE:
        return Reason(
            code="domain",
            text=f"its source looks less like your images: similarity {mine:.2f}, against {its:.2f} of "
            f"{printable(rival.start.checkpoint)}.",
        )
    if mine < NOTHING_SIMILAR:
        return Reason(
            code="domain",
            text=f"its source does not look like your images: similarity {mine:.2f}, very similar begins at "
            f"{NOTHING_SIMILAR:.2f}.",
        )
    return None


def _head(one: ComparedStart, rival: ComparedStart) -> Reason | None:
    head, matched, classes = (
        one.coverage.share("head"),
        one.coverage.classes_matched,
        one.coverage.num_classes,
    )
    less = one.start.checkpoint != rival.start.checkpoint and head < rival.coverage.share("head") - 0.05
    unknown = not matched and rival.coverage.classes_matched > 0
    if not less and not unknown:
        return None  # the better start began no better
    text = f"{head:.0%} of its head transferred"
    if not matched:
        text += f": it knows none of your {counted(classes, 'class')} by name, so the class output began at random"
    return Reason(code="head", text=text + ".")


def _source_size(one: ComparedStart, rival: ComparedStart) -> Reason | None:
    mine = one.checkpoint.source_images if one.checkpoint else None
    its = rival.checkpoint.source_images if rival.checkpoint else None
    if mine is None or its is None or mine >= FEW_IMAGES * its:
        return None
    return Reason(
        code="source_size",
        text=f"it saw {counted(mine, 'source image')}, {printable(rival.start.checkpoint)} {its:,}: it may know "
        "less that is of general use.",
    )


def _unfinished(row: ComparisonRow, trained: Sequence[FinishedTraining]) -> Reason | None:
    epochs = max((t.run.recipe.epochs for t in trained), default=0)
    if epochs and row.epochs_to_best.mean > STILL_RISING * epochs:
        return Reason(
            code="unfinished",
            text=f"it was still gaining: its best epoch was {row.epochs_to_best.mean:.0f} of {epochs}.",
        )
    return None


def _small_batch(trained: Sequence[FinishedTraining]) -> Reason | None:
    batch = min((t.run.batch_used for t in trained if t.run.batch_used is not None), default=None)
    if batch is None or batch >= 8 or not trained or trained[0].start.mode == "freeze":
        return None
    return Reason(code="small_batch", text=f"its batch norms saw {counted(batch, 'image')} at a time.")


def trainable_share(one: ComparedStart) -> float:
    """The share of the model's parameters that train in this mode."""
    if one.start.mode != "freeze":
        return 1.0
    total = sum(layer.num_parameters for layer in one.coverage.layers)
    frozen = sum(layer.num_parameters for layer in one.coverage.layers if layer.part == "backbone")
    return 1.0 - frozen / total if total else 1.0
