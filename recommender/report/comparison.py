"""A comparison as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.comparison.comparison_input import ComparedStart, ComparisonInput, FinishedTraining
from recommender.comparison.confusion import Confusion
from recommender.comparison.findings import Findings
from recommender.comparison.forecast_error import ForecastOutcome
from recommender.comparison.reasons import WorseStart, rates_tried, trainable_share
from recommender.comparison.rows import ComparisonRow
from recommender.comparison.summary import catch_up_text, size_text
from recommender.records import SplitCounts
from recommender.report.comparison_confusion import MOST_PAIRS
from recommender.report.comparison_schema import (
    AskedPart,
    CatchUpPart,
    ClassesPart,
    ComparisonDocument,
    ConfusedPart,
    CurvePart,
    FailurePart,
    ForecastPart,
    ForecastRow,
    GainPart,
    LossPart,
    ModePart,
    RatePart,
    RowPart,
    ScenePart,
    SizesPart,
    StartingPart,
)
from recommender.report.document import rounded, same_fields


def comparison_document(comparison: ComparisonInput, findings: Findings) -> ComparisonDocument:
    """The whole comparison as published."""
    plan = comparison.plan
    return ComparisonDocument(
        id=comparison.id,
        version=comparison.version,
        dataset=plan.dataset_name,
        dataset_hash=plan.dataset_hash,
        images=SplitCounts(train=plan.num_train, val=plan.num_val, test=plan.num_test),
        classes=plan.class_names,
        asked=_asked(comparison),
        sentences=findings.sentences,
        noise=findings.noise_sentence,
        seed_deviation=findings.noise.deviation,
        table=tuple(_row(row) for row in findings.rows),
        catch_up=_catch_up(findings),
        sizes=_sizes(findings),
        modes=tuple(_mode(comparison, row) for row in findings.main),
        losses=tuple(_loss(loss) for loss in findings.losses),
        forecast=_forecast(comparison, findings),
        pictures=tuple(
            ScenePart(image=d.scene.name, spread=round(d.spread, 4)) for d in findings.differences
        ),
        by_class=tuple(_classes(one, plan.class_names) for one in findings.confusions),
        curves=tuple(_curve(trained) for trained in comparison.trained),
        warnings=tuple(findings.notices),
        failures=tuple(
            FailurePart(start=str(f.start), fraction=f.fraction, seed=f.seed, why=f.why)
            for f in comparison.failures
        ),
        ended_early=comparison.ended_early,
        hardware=comparison.hardware,
    )


def _asked(comparison: ComparisonInput) -> AskedPart:
    plan = comparison.plan
    same = same_fields(AskedPart, plan) | {"starts": tuple(str(start) for start in plan.starts)}
    return AskedPart(**same, scored_on=comparison.held.split)


def _row(row: ComparisonRow) -> RowPart:
    return RowPart(
        start=str(row.start),
        checkpoint=row.start.checkpoint,
        mode=row.start.mode,
        fraction=row.fraction,
        train_images=row.num_images,
        learning_rate=row.learning_rate,
        starting=StartingPart(score=_round(row.starting.score), measured_on=row.starting.on),
        score=rounded(row.score, 5),
        details=rounded(row.details, 5),
        tta=rounded(row.tta, 5),
        val_score=rounded(row.val_score, 5),
        epochs_to_best=rounded(row.epochs_to_best, 5),
        seconds_to_best=rounded(row.seconds_to_best, 5),
        seconds=rounded(row.seconds, 5),
        estimated_seconds=rounded(row.estimated_seconds, 5),
        runs=row.runs,
    )


MOST_CLASSES = 200  # whose whole matrix is written: it grows with their square


def _classes(confusion: Confusion, names: Sequence[str]) -> ClassesPart:
    accuracies = zip(names, confusion.accuracies(), strict=True)
    return ClassesPart(
        start=str(confusion.start),
        accuracy={name: _round(value) for name, value in accuracies},
        confusion=tuple(map(tuple, confusion.counts_CC.tolist())) if len(names) <= MOST_CLASSES else (),
        most_confused=tuple(
            ConfusedPart(
                true=names[one.true],
                predicted=names[one.predicted],
                images=one.count,
                share=round(one.share, 5),
            )
            for one in confusion.most_confused(MOST_PAIRS)
        ),
    )


def _curve(trained: FinishedTraining) -> CurvePart:
    run = trained.run
    return CurvePart(
        run=run.id,
        start=str(run.start),
        fraction=run.recipe.fraction,
        seed=run.recipe.seed,
        learning_rate=run.learning_rate_used,
        normalisation=run.recipe.normalisation,
        points=run.curve,
    )


def _catch_up(findings: Findings) -> CatchUpPart | None:
    found = findings.catching_up
    if found is None:
        return None
    return CatchUpPart(
        kind=found.kind,
        epoch=_round(found.epoch),
        low=_round(found.low),
        high=_round(found.high),
        goal=round(found.goal, 5),
        reached=round(found.reached, 5),
        text=catch_up_text(found),
    )


def _sizes(findings: Findings) -> SizesPart | None:
    found = findings.sizes
    if found is None:
        return None
    gains = tuple(
        GainPart(train_images=g.num_images, start=str(g.start), gain=round(g.gain, 5), noise=_round(g.noise))
        for g in found.gains
    )
    return SizesPart(kind=found.kind, train_images=found.num_images, gains=gains, text=size_text(found))


def _mode(comparison: ComparisonInput, row: ComparisonRow) -> ModePart:
    one: ComparedStart = comparison.compared_start(row.start)
    coverage = one.coverage
    return ModePart(
        start=str(row.start),
        architecture=one.architecture,
        transferred=round(coverage.share(), 4),
        backbone_transferred=round(coverage.share("backbone"), 4),
        neck_transferred=round(coverage.share("neck"), 4),
        head_transferred=round(coverage.share("head"), 4),
        classes_matched=coverage.classes_matched,
        trainable=round(trainable_share(one), 4),
        rates_tried=tuple(
            RatePart(learning_rate=rate, val_score=round(value, 5))
            for rate, value in rates_tried(comparison, row)
        ),
        similarity=_round(one.evidence.similarity),
        images_seen=_round(one.evidence.source_images_seen),
        blocks=coverage.layers,
    )


def _loss(loss: WorseStart) -> LossPart:
    return LossPart(
        start=str(loss.row.start),
        against=str(loss.winner.start),
        gap=round(loss.gap, 5),
        reasons=loss.reasons,
    )


def _forecast(comparison: ComparisonInput, findings: Findings) -> ForecastPart:
    seen, made = findings.forecast_error, comparison.prior_forecast
    return ForecastPart(
        made_at=made.made_at,
        history_runs=made.history_runs,
        history_runs_here=made.history_runs_here,
        rows=tuple(_judged(one) for one in seen.judged),
        first_choice=None if seen.first_choice is None else str(seen.first_choice),
        regret=_round(seen.regret),
    )


def _judged(one: ForecastOutcome) -> ForecastRow:
    return ForecastRow(
        start=str(one.expected.start),
        fraction=one.expected.fraction,
        forecast=rounded(one.expected.score),
        p_best=round(one.expected.p_best, 4),
        outcome=round(one.outcome, 5),
        deviation=_round(one.deviation),
        inside=one.inside,
    )


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
